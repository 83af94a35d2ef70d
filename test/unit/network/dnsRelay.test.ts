// The name relay of a network, without a host.
import { createSocket } from 'node:dgram';
import { createConnection, createServer as createStreamServer, type AddressInfo } from 'node:net';
import { silentLogger, type Logger } from '@cumulet/common';
import { parseResolvConf, relayDatagrams, relayStreams, upstreamsOf } from '../../../network-agent/src/dnsRelay';

describe('the name relay', () => {
  test('servers from resolv.conf or the configuration', async () => {
    expect(
      parseResolvConf('# x\nnameserver 192.0.2.1\n nameserver fe80::1%eth0\nnameserver nonsense\nsearch a\n'),
    ).toEqual(['192.0.2.1', 'fe80::1%eth0']);
    expect(await upstreamsOf(['192.0.2.9'])()).toEqual(['192.0.2.9']);
    await expect(upstreamsOf([], '/nonexistent/resolv.conf')()).rejects.toThrow('ENOENT');
  });

  test('a question goes to the next server when the first does not want it', async () => {
    const upstream = createSocket('udp4');
    await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', resolve));
    upstream.on('message', (question, from) =>
      upstream.send(`answer to ${question.toString()}`, from.port, from.address),
    );
    const relay = createSocket('udp4');
    await new Promise<void>((resolve) => relay.bind(0, '127.0.0.1', resolve));
    const closed = createSocket('udp4');
    await new Promise<void>((resolve) => closed.bind(0, '127.0.0.1', resolve));
    const closedPort = closed.address().port;
    closed.close();
    relayDatagrams(
      relay,
      // The first two refuse; a machine without IPv6 does so in its own way.
      () => Promise.resolve([`::1#${closedPort}`, `127.0.0.1#${closedPort}`, `127.0.0.1#${upstream.address().port}`]),
      silentLogger,
    );
    const client = createSocket('udp4');
    const answer = await new Promise<string>((resolve) => {
      client.on('message', (message) => resolve(message.toString()));
      client.send('question', relay.address().port, '127.0.0.1');
    });
    expect(answer).toBe('answer to question');
    for (const socket of [upstream, relay, client]) socket.close();
  });

  test('a socket that fails is told to the administrator and does not end the agent', () => {
    const heard: unknown[][] = [];
    const log = Object.assign(Object.create(silentLogger) as Logger, {
      warn: (...words: unknown[]) => void heard.push(words),
    });
    const relay = createSocket('udp4');
    relayDatagrams(relay, () => Promise.resolve([]), log);
    relay.emit('error', new Error('no buffer space'));
    expect(heard).toEqual([[{ error: 'no buffer space' }, 'a name relay socket failed']]);
    relay.close();
  });

  test('a connection is joined to the first server, and closed when there is none', async () => {
    const upstream = createStreamServer((socket) => socket.end('hello'));
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const servers = [`127.0.0.1#${(upstream.address() as AddressInfo).port}`];
    const relay = createStreamServer();
    relayStreams(relay, () => Promise.resolve(servers), silentLogger);
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const read = (): Promise<string> =>
      new Promise((resolve) => {
        let text = '';
        const client = createConnection((relay.address() as AddressInfo).port, '127.0.0.1');
        client.on('data', (chunk: Buffer) => (text += chunk.toString()));
        client.on('error', () => undefined);
        client.on('close', () => resolve(text));
      });
    expect(await read()).toBe('hello');
    servers.length = 0;
    expect(await read()).toBe('');
    relay.close();
    upstream.close();
  });
});
