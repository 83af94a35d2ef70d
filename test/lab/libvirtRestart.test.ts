// The client against a real libvirtd that is stopped, killed and started again.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ConnectionLostError, LibvirtClient } from '@cumulet/libvirt';
import type { SessionOptions } from '@cumulet/libvirt';
import { startPrivateLibvirtd } from '../support/privateLibvirtd';
import type { PrivateLibvirtd } from '../support/privateLibvirtd';

const domainXml = (name: string): string => `<domain type='test'>
  <name>${name}</name><memory>8192</memory><os><type>hvm</type></os></domain>`;

let daemon: PrivateLibvirtd;
let client: LibvirtClient;
const connect = async (options: SessionOptions = {}): Promise<void> => {
  client = await LibvirtClient.connect({ uri: 'test:///default', socketPath: daemon.socketPath, ...options });
};
const once = (name: 'connected' | 'disconnected' | 'lifecycle'): Promise<unknown> =>
  new Promise((resolve) => client.once(name, resolve));

beforeAll(async () => {
  daemon = await startPrivateLibvirtd(['keepalive_interval = 1', 'keepalive_count = 2']);
});
afterEach(() => client.close());
afterAll(() => daemon.stop());

test('a daemon killed with calls under way fails them all at once; its successor gets the events registered', async () => {
  await connect();
  client.on('warning', () => undefined);
  daemon.signal('SIGSTOP');
  const calls = Array.from({ length: 10 }, () => client.hostname().catch((error: unknown) => error));
  const lost = once('disconnected');
  await daemon.kill('SIGKILL');
  const errors = (await Promise.all(calls)) as ConnectionLostError[];
  expect(errors.map(({ name }) => name)).toEqual(Array(10).fill('ConnectionLostError'));
  expect(errors.filter(({ sent }) => sent)).toHaveLength(4);
  expect(await lost).toBeInstanceOf(ConnectionLostError);
  await expect(client.hostname()).rejects.toMatchObject({ sent: false });

  const back = once('connected');
  await daemon.start();
  await back;
  const told = once('lifecycle');
  const { uuid } = await client.defineDomain(domainXml(`after-${randomUUID()}`));
  expect(await told).toMatchObject({ domain: { uuid }, event: 'defined' });
});

test('a daemon that hangs is given up, and taken again when it goes on', async () => {
  await connect({ keepalive: { intervalMs: 100, misses: 3 } });
  const lost = once('disconnected');
  daemon.signal('SIGSTOP');
  const call = client.hostname();
  await expect(call).rejects.toMatchObject({ name: 'ConnectionLostError' });
  expect(await lost).toMatchObject({ reason: 'the daemon has been silent for 400 ms' });
  const back = once('connected');
  daemon.signal('SIGCONT');
  await back;
  expect(await client.hostname()).not.toBe('');
});

test("the daemon's own pings keep an idle client, and leave a slow reader alone", async () => {
  await connect({ uri: 'storage:///system', events: [], keepalive: { intervalMs: 3_600_000, misses: 1 } });
  let drops = 0;
  client.on('disconnected', () => drops++);
  const path = join(daemon.directory, 'pool');
  await mkdir(path);
  const pool = await client.createPool(`<pool type='dir'><name>p</name><target><path>${path}</path></target></pool>`);
  const data = randomBytes(4_000_000);
  const xml = `<volume><name>v</name><capacity unit='B'>${data.length}</capacity></volume>`;
  const volume = await client.createVolume(pool, xml);
  const upload = await client.uploadVolume(volume);
  await new Promise((resolve) => upload.once('close', resolve).end(data));
  const stream = await client.downloadVolume(volume);
  // Three times as long as the daemon bears silence.
  await pause(6_000);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(data)).toBe(true);
  await client.deleteVolume(volume);
  await client.destroyPool(pool);
  expect(drops).toBe(0);
});
