// The serial console: xterm.js on a WebSocket.
import { Terminal } from './../xterm/lib/xterm.mjs';
import { FitAddon } from './../fit/lib/addon-fit.mjs';
import { connect } from './common.js';

const terminal = new Terminal({ cursorBlink: true, scrollback: 5000 });
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(document.getElementById('screen'));
fit.fit();
addEventListener('resize', () => fit.fit());

const socket = connect();
if (socket) {
  const encoder = new TextEncoder();
  const send = (bytes) => socket.readyState === WebSocket.OPEN && socket.send(bytes);
  socket.addEventListener('message', ({ data }) => terminal.write(new Uint8Array(data)));
  terminal.onData((text) => send(encoder.encode(text)));
  terminal.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.focus();
}
