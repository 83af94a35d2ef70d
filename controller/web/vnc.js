// The screen: noVNC on a WebSocket.
import RFB from './../novnc/core/rfb.js';
import { connect } from './common.js';

const socket = connect();
if (socket) {
  const screen = new RFB(document.getElementById('screen'), socket);
  screen.scaleViewport = true;
  screen.background = 'transparent';
  screen.focusOnClick = true;
  document.getElementById('keys').addEventListener('click', () => {
    screen.sendCtrlAltDel();
    screen.focus();
  });
}
