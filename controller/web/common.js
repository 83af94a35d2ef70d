// What both consoles share: the ticket from the address, the connection, and the line that says how it stands.

const AGAIN = 'An address opens a console once: ask for a new one.';

/** Opens the WebSocket that belongs to this page. The ticket is of no more use: it leaves the address bar and the history. */
export function connect() {
  const address = new URL(location.href);
  const ticket = address.searchParams.get('token');
  history.replaceState(null, '', address.pathname);
  if (!ticket) {
    say('ended', `There is no ticket in the address. ${AGAIN}`);
    return undefined;
  }
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.search = `?token=${encodeURIComponent(ticket)}`;
  const socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => say('open', 'connected'));
  socket.addEventListener('close', ({ reason }) => say('ended', reason || `The connection was lost. ${AGAIN}`));
  return socket;
}

/** Says how the connection stands. */
function say(state, words) {
  const line = document.getElementById('state');
  line.dataset.state = state;
  line.textContent = words;
}
