// The helper that opens sockets for us ends with us: one that is left behind would keep the ports from our successor.
import { spawn } from 'node:child_process';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { CommandError, inheritSockets, type SocketRequest } from '@cumulet/common';
import { freePort } from '../support/freePort';

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.unref();
    socket.once('connect', () => socket.destroy());
  });

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return;
    await new Promise((next) => setTimeout(next, 20));
  }
  throw new Error(`never came: ${what}`);
}

test('a helper whose parent dies in the middle of the handover gives the port back', async () => {
  const port = await freePort();
  // The parent stops itself, so that it never takes the socket that the helper sends.
  const module = require.resolve('@cumulet/common/dist/inheritedSocket.js');
  const request = JSON.stringify([{ type: 'tcp', address: '127.0.0.1', port }]);
  const program = `require(${JSON.stringify(module)}).inheritSockets([], ${request}); process.kill(process.pid, 'SIGSTOP')`;
  const parent = spawn(process.execPath, ['-e', program], { stdio: 'inherit' });
  try {
    await until('the helper that listens', () => listens(port));
  } finally {
    parent.kill('SIGKILL');
  }
  await until('the end of the helper', async () => !(await listens(port)));
});

describe('a socket that can not be opened', () => {
  const request = (port: number): SocketRequest => ({ type: 'tcp', address: '127.0.0.1', port });

  test('is named with its port and the cause, and those that were opened before it are closed', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const taken = (other.address() as AddressInfo).port;
    const free = await freePort();
    try {
      const asked = inheritSockets([], [request(free), request(taken)]);
      await expect(asked).rejects.toBeInstanceOf(CommandError);
      await expect(asked).rejects.toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1 port ${taken}: .*EADDRINUSE`)) as string,
      });
      expect(await listens(free)).toBe(false);
    } finally {
      other.close();
    }
  });

  test('because the way to it is not there is a failed command', async () => {
    const asked = inheritSockets(['/nonexistent/nsenter'], [request(await freePort())]);
    await expect(asked).rejects.toMatchObject({
      message: expect.stringMatching(/nonexistent.*ENOENT/) as string,
      argv: ['/nonexistent/nsenter', process.execPath, 'socket helper'],
    });
  });
});
