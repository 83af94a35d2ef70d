// Sockets that a short-lived helper opens where we are not (another network namespace) and hands over to this process.
import { spawn } from 'node:child_process';
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server } from 'node:net';
import { CommandError } from './errors';

/** What to listen on, as the helper sees it. */
export interface SocketRequest {
  readonly type: 'tcp' | 'udp4';
  readonly address: string;
  readonly port: number;
}

export type InheritedSocket = Server | DatagramSocket;

/**
 * The helper: opens what its argument asks for, sends each socket over Node's own channel, and ends when told to. The channel does not
 * tell of its end while a socket is on its way, so standard input says whether we still live: a helper left behind would keep the ports.
 */
const HELPER = `
const requests = JSON.parse(process.argv[1]);
process.on('message', () => process.exit(0));
process.stdin.on('close', () => process.exit(1)).resume();
const fail = (request) => (error) => {
  console.error(request.address + ' port ' + request.port + ': ' + error.message);
  process.exit(1);
};
const next = (index) => {
  const request = requests[index];
  if (!request) return;
  const give = (socket) => () => process.send(index, socket, (error) => (error ? fail(request)(error) : next(index + 1)));
  if (request.type === 'tcp') {
    const server = require('net').createServer();
    server.on('error', fail(request));
    server.listen(request.port, request.address, give(server));
  } else {
    const socket = require('dgram').createSocket('udp4');
    socket.on('error', fail(request));
    socket.bind({ port: request.port, address: request.address, exclusive: true }, give(socket));
  }
};
next(0);
`;

/**
 * Opens sockets where `prefix` leads ("nsenter --net=... "), in the order asked for.
 * @throws CommandError when the helper can't open one of them
 */
export function inheritSockets(
  prefix: readonly string[],
  requests: readonly SocketRequest[],
): Promise<InheritedSocket[]> {
  const argv = [...prefix, process.execPath, '-e', HELPER, JSON.stringify(requests)];
  const shown = [...prefix, process.execPath, 'socket helper'];
  return new Promise((resolve, reject) => {
    const [command = '', ...args] = argv;
    const child = spawn(command, args, {
      stdio: ['pipe', 'ignore', 'pipe', 'ipc'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/' },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    const sockets: InheritedSocket[] = [];
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('message', (_index, handle) => {
      sockets.push(handle as InheritedSocket);
      if (sockets.length === requests.length) child.send('taken');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new CommandError(shown, null, '', '', error.message));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (sockets.length === requests.length) return resolve(sockets);
      for (const socket of sockets) socket.close();
      reject(new CommandError(shown, code, '', stderr));
    });
  });
}
