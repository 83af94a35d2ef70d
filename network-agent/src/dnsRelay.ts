// Passes guests' other name questions from a network's dnsmasq to the host's own name servers; guests get no route to the host.
import { createSocket, type Socket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createConnection, isIP, type Server, type Socket as TcpSocket } from 'node:net';
import { messageOf, type Logger } from '@cumulet/common';

/** The name servers to ask, in order; asked anew for each question. */
export type Upstreams = () => Promise<readonly string[]>;

const ANSWER_MS = 5000;
const IN_FLIGHT = 256;

/** 4 or 6 by the kind of an address, which may have a zone; 0 when it is none. */
const familyOf = (address: string): number => isIP(address.replace(/%.*$/, ''));

/** The servers in the text of a resolv.conf. */
export function parseResolvConf(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    return address !== undefined && familyOf(address) !== 0 ? [address] : [];
  });
}

/** Upstreams from the configuration, else from the host's resolv.conf. */
export function upstreamsOf(configured: readonly string[], path = '/etc/resolv.conf'): Upstreams {
  return async () => (configured.length > 0 ? configured : parseResolvConf(await readFile(path, 'utf8')));
}

/** "10.0.0.1" or "10.0.0.1#5300". */
function endpoint(text: string): { address: string; port: number } {
  const end = text.indexOf('#');
  return end < 0 ? { address: text, port: 53 } : { address: text.slice(0, end), port: Number(text.slice(end + 1)) };
}

function askOne(server: string, question: Buffer): Promise<Buffer> {
  const { address, port } = endpoint(server);
  return new Promise((resolve, reject) => {
    const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4');
    const finish = (done: () => void): void => {
      clearTimeout(timer);
      socket.close();
      done();
    };
    const timer = setTimeout(() => finish(() => reject(new Error(`${server} did not answer`))), ANSWER_MS);
    socket.on('message', (answer) => finish(() => resolve(answer)));
    socket.on('error', (error) => finish(() => reject(error)));
    // A connected socket takes answers from nobody else.
    socket.connect(port, address, () => socket.send(question));
  });
}

async function ask(upstreams: Upstreams, question: Buffer): Promise<Buffer> {
  const failures: string[] = [];
  for (const server of await upstreams()) {
    try {
      return await askOne(server, question);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  throw new Error(failures.join('; ') || 'the host has no name server');
}

/** Answers the questions that arrive on a datagram socket of a namespace. */
export function relayDatagrams(socket: Socket, upstreams: Upstreams, log: Logger): void {
  let inFlight = 0;
  socket.on('message', (question, from) => {
    if (inFlight >= IN_FLIGHT) return;
    inFlight++;
    ask(upstreams, question)
      .then((answer) => socket.send(answer, from.port, from.address))
      .catch((error: unknown) => log.debug({ error: messageOf(error) }, 'a name question has no answer'))
      .finally(() => inFlight--);
  });
  socket.on('error', (error) => log.warn({ error: error.message }, 'a name relay socket failed'));
}

/** Joins each TCP connection to the first name server: answers too long for a datagram come this way. */
export function relayStreams(server: Server, upstreams: Upstreams, log: Logger): void {
  server.maxConnections = 32;
  server.on('connection', (client: TcpSocket) => {
    const fail = (error: unknown): void => {
      log.debug({ error: messageOf(error) }, 'a name connection failed');
      client.destroy();
    };
    client.setTimeout(ANSWER_MS * 2, () => client.destroy());
    client.on('error', fail);
    upstreams()
      .then(([first]) => {
        if (first === undefined) throw new Error('the host has no name server');
        const { address, port } = endpoint(first);
        const upstream = createConnection({ host: address, port });
        upstream.on('error', fail);
        client.on('close', () => upstream.destroy());
        upstream.on('close', () => client.destroy());
        client.pipe(upstream).pipe(client);
      })
      .catch(fail);
  });
}
