// The terminal's end of a console: what goes wrong is told, and the terminal is as it was.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { attachTerminal } from '../../cli/src/terminal';

let server: WebSocketServer;
let url: string;
const shown: string[] = [];
const raw: boolean[] = [];
const { stdin } = process;
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
beforeEach(() => {
  shown.length = 0;
  raw.length = 0;
  // Tests have no terminal: this one notes what it is told.
  Object.assign(stdin, { isTTY: true, setRawMode: (on: boolean) => (raw.push(on), stdin) });
  const note = (text: unknown): boolean => shown.push(String(text)) > 0;
  jest.spyOn(process.stderr, 'write').mockImplementation(note);
  jest.spyOn(process.stdout, 'write').mockImplementation(note);
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const name of ['isTTY', 'setRawMode']) Reflect.deleteProperty(stdin, name);
});
afterAll(() => void server.close());

test('a console that ends says why', async () => {
  server.once('connection', (socket) => {
    socket.send('a prompt');
    socket.close(1000, 'the guest is off');
  });
  await attachTerminal(url, {}, 'Console of x.');
  expect(shown).toEqual(['Console of x.\r\n', 'a prompt', '\r\nthe guest is off\r\n']);
  expect(raw).toEqual([true, false]);
});

test.each([
  [4003, 'it was used already', 'it was used already'],
  [1011, '', 'the connection was lost'],
])('an end with %i is an error', async (code, reason, words) => {
  server.once('connection', (socket) => socket.close(code, reason));
  await expect(attachTerminal(url, {}, '')).rejects.toThrow(words);
  expect(raw.at(-1)).toBe(false);
});

test('Ctrl+] ends it, and what is typed before goes to the guest', async () => {
  const heard: string[] = [];
  server.once('connection', (socket) => {
    socket.on('message', (data: Buffer) => heard.push(data.toString()));
    stdin.emit('data', Buffer.from('ls'));
    setTimeout(() => stdin.emit('data', Buffer.from('ls\u001drest')), 100);
  });
  await attachTerminal(url, {}, '');
  expect(heard).toEqual(expect.arrayContaining(['ls']));
  expect(heard.join()).not.toContain('rest');
});

test('one that nobody answers for, or that is not trusted, is told', async () => {
  const nobody = attachTerminal('https://127.0.0.1:1/', { ca: 'x', verify: false }, '');
  await expect(nobody).rejects.toThrow(/^the console could not be opened: /);
});
