// TCP ports of loopback that nobody listens on at this moment, and that no other test is about to.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that the kernel gives to connections: the port of a process that is killed must still be free when it is started again. */
const [FIRST, LAST] = [20_000, 31_999];
const TRIES = 100;

const isFree = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const server = createServer().once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });

/** Takes a port for this process, as long as it lives: what it is for listens seconds later on a busy machine. */
const take = (port: number): Promise<boolean> =>
  new Promise((done) => {
    // A name of the kernel's, in no directory, that one process has at a time.
    const server = createServer().once('error', () => done(false));
    server.listen(`\0cumulet-test-port-${port}`, () => done(true)).unref();
  });

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FIRST, LAST + 1);
    if ((await take(port)) && (await isFree(port))) return port;
  }
  throw new Error(`none of ${TRIES} ports from ${FIRST} to ${LAST} is free`);
}
