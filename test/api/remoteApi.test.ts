// The API for other machines: TLS by its own CA or given files, and links that name the address which the caller used.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import dns from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import http, { type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { RemoteApiConfig } from '@cumulet/controller';
import { exec, parseConfig } from '@cumulet/common';
import { resolveAddress } from '../../controller/src/remoteApi/address';
import { ownCertificate } from '../../controller/src/remoteApi/certificate';
import { checkRemoteApi } from '../../controller/src/remoteApi/check';
import { startTestCloud, type TestCloud } from '../support/testCloud';

const remote = (more: Partial<RemoteApiConfig> = {}): RemoteApiConfig => ({
  ...parseConfig(RemoteApiConfig, 'address: 127.0.0.1', 'defaults'),
  port: 0,
  ...more,
});

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'cumulet-remote-'))));
afterAll(() => rmSync(directory, { recursive: true }));

/** A self-signed certificate and its key, as an administrator might bring them. */
function bring(name: string, alternatives: string, days = 90): { cert: string; key: string } {
  const [cert, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`];
  const files = ['-addext', `subjectAltName=${alternatives}`, '-days', String(days), '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'pipe' });
  return { cert, key };
}

const portOf = (cloud: TestCloud): number => cloud.controller.remote?.listening()[0]?.port ?? 0;
const ca = async (cloud: TestCloud): Promise<string> => (await cloud.call('GET', '/cumulet/v1/access')).body.access.ca;

/** One request with headers of any kind, to the host of the URL whatever they say; the answer's text with all that names an address: headers and body. */
async function ask(url: string, options: https.RequestOptions & { body?: string } = {}): Promise<string> {
  const { body, ...rest } = options;
  const { request } = url.startsWith('https') ? https : http;
  const sent = request(url, { agent: false, servername: '', ...rest });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = JSON.stringify(answer.headers);
  for await (const chunk of answer) text += String(chunk);
  return text;
}

describe('with a certificate of its own', () => {
  let cloud: TestCloud;
  let authority: string;
  beforeAll(async () => {
    cloud = await startTestCloud({ config: { remote_api: remote(), names: ['cloud.example'] } });
    authority = await ca(cloud);
  });
  afterAll(() => cloud.stop());

  const versions = (host: string, headers: Record<string, string> = {}): Promise<string> =>
    ask(`https://127.0.0.1:${portOf(cloud)}/compute`, { ca: authority, headers: { host, ...headers } });

  test('other machines are served with TLS, and callers on loopback as ever', async () => {
    const url = `https://127.0.0.1:${portOf(cloud)}`;
    expect(await ask(`${url}/compute`, { ca: authority })).toContain(`"href":"${url}/compute/v2.1/"`);
    await expect(ask(`${url}/compute`)).rejects.toThrow(/unable to verify the first certificate/);
    expect(await ask(`${cloud.url}/compute`)).toContain(`"href":"${cloud.url}/compute/v2.1/"`);
    expect((await cloud.call('GET', '/cumulet/v1/access')).body).toEqual({ access: { endpoint: url, ca: authority } });
    expect((await cloud.call('GET', '/cumulet/v1/access', { token: null })).status).toBe(401);
    await expect(ask(`http://127.0.0.1:${portOf(cloud)}/compute`)).rejects.toThrow(/hang up|ECONNRESET|Parse Error/);
  });

  test('secrets are for the owner alone', () => {
    const tls = join(cloud.directory, 'tls');
    expect(statSync(tls).mode & 0o777).toBe(0o700);
    for (const key of ['ca.key', 'api.key']) expect([key, statSync(join(tls, key)).mode & 0o777]).toEqual([key, 0o600]);
  });

  test('a name of ours is named in every kind of link', async () => {
    const port = portOf(cloud);
    for (const name of ['cloud.example', 'localhost'])
      expect(await versions(`${name}:${port}`)).toContain(`https://${name}:${port}/compute/v2.1/`);
    const headers = { host: `cloud.example:${port}`, 'x-auth-token': 'demo', 'content-type': 'application/json' };
    const base = `https://127.0.0.1:${port}`;
    const made = await ask(`${base}/image/v2/images`, {
      ca: authority,
      method: 'POST',
      headers,
      body: JSON.stringify({ name: 'a', disk_format: 'raw', container_format: 'bare' }),
    });
    expect(made).toMatch(new RegExp(`"location":"https://cloud.example:${port}/image/v2/images/[0-9a-f-]{36}"`));
    for (const name of ['one', 'two'])
      await cloud.call('POST', '/network/v2.0/networks', { body: { network: { name } } });
    const page = await ask(`${base}/network/v2.0/networks?limit=1`, { ca: authority, headers });
    expect(page).toContain(`"href":"https://cloud.example:${port}/network/v2.0/networks?limit=1&marker=`);
    const unknown = { ca: authority, headers: { ...headers, 'x-auth-token': 'nobody' } };
    expect(await ask(`${base}/network/v2.0/networks`, unknown)).toContain(
      `Keystone uri=\\"https://cloud.example:${port}/`,
    );
  });

  test('a forged Host or forwarding header is nowhere repeated', async () => {
    const url = `https://127.0.0.1:${portOf(cloud)}`;
    const forged = {
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'gopher',
      'x-forwarded-for': 'evil.example',
      forwarded: 'host=evil.example;proto=gopher',
      'x-auth-token': 'demo',
    };
    for (const path of [
      '/',
      '/identity/v3',
      '/image',
      '/network/v2.0/networks?limit=1',
      '/compute/v2.1/servers/detail',
      '/nowhere',
    ])
      for (const host of ['evil.example', `evil.example:${portOf(cloud)}`, `127.0.0.1:${portOf(cloud)}`]) {
        const answer = await ask(url + path, { ca: authority, headers: { ...forged, host } });
        expect(answer).not.toMatch(/evil|gopher/);
        expect(await ask(cloud.url + path, { headers: { ...forged, host } })).not.toMatch(/evil|gopher/);
      }
    expect(await versions('evil.example')).toContain(`${url}/compute/v2.1/`);
  });

  test('through a tunnel the near end is named, whatever its port', async () => {
    const { port } = new URL(cloud.url);
    const tunnel: Server = createServer((near) => near.pipe(connect(Number(port), '127.0.0.1')).pipe(near));
    await once(tunnel.listen(0, '127.0.0.1'), 'listening');
    const near = `http://localhost:${(tunnel.address() as AddressInfo).port}`;
    expect(await ask(`${near}/compute`)).toContain(`"href":"${near}/compute/v2.1/"`);
    tunnel.close();
  });

  test('a certificate that ends soon is replaced without a restart, by one of the same CA', async () => {
    const shown = async (): Promise<string> => {
      const socket = connectTls({ port: portOf(cloud), host: '127.0.0.1', ca: authority });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const before = await shown();
    await cloud.controller.remote?.renew();
    expect(await shown()).toBe(before);
    const tls = join(cloud.directory, 'tls');
    const { ca: old } = await ownCertificate(exec, tls, ['127.0.0.1'], Date.now() + 800 * 86_400_000);
    expect(old).toBe(authority);
    await cloud.controller.remote?.renew();
    const after = await shown();
    expect(after).not.toBe(before);
    // It lacks the other names, so that it was made once more, and is kept now.
    await cloud.controller.remote?.renew();
    expect(await shown()).toBe(after);
    expect(await ca(cloud)).toBe(authority);
  });
});

test('an IPv6 address is listened on, certified and named', async () => {
  const cloud = await startTestCloud({ config: { remote_api: remote({ address: '::1' }) } });
  try {
    const url = `https://[::1]:${portOf(cloud)}`;
    expect(await ask(`${url}/compute`, { ca: await ca(cloud) })).toContain(`"href":"${url}/compute/v2.1/"`);
    expect((await cloud.call('GET', '/cumulet/v1/access')).body.access.endpoint).toBe(url);
  } finally {
    await cloud.stop();
  }
});

test('files of a certificate that were cut off, or belong to others, are made anew', async () => {
  const place = join(directory, 'own');
  const first = await ownCertificate(exec, place, ['127.0.0.1', 'a.example'], Date.now());
  const again = await ownCertificate(exec, place, ['a.example'], Date.now());
  expect(again).toEqual(first);
  writeFileSync(join(place, 'api.crt'), first.cert.slice(0, 100));
  const second = await ownCertificate(exec, place, ['127.0.0.1'], Date.now());
  expect(second.ca).toBe(first.ca);
  expect(new X509Certificate(second.cert).verify(new X509Certificate(second.ca ?? '').publicKey)).toBe(true);
  writeFileSync(join(place, 'ca.key'), readFileSync(join(place, 'api.key')));
  const third = await ownCertificate(exec, place, ['127.0.0.1'], Date.now());
  expect(third.ca).not.toBe(first.ca);
  expect(new X509Certificate(third.cert).verify(new X509Certificate(third.ca ?? '').publicKey)).toBe(true);
  const strict = ['verify', '-x509_strict', '-verify_ip', '127.0.0.1', '-CAfile', join(place, 'ca.crt')];
  expect(execFileSync('openssl', [...strict, join(place, 'api.crt')], { encoding: 'utf8' })).toContain(': OK');
});

describe('with a certificate that the administrator brings', () => {
  test('it is shown, taken up anew when it changes, and handed out only when it is its own authority', async () => {
    // One that ends soon is used all the same.
    const files = bring('brought', 'IP:127.0.0.1', 3);
    const endpoint = 'https://cloud.example:8443';
    const cloud = await startTestCloud({ config: { remote_api: remote(files), endpoint } });
    try {
      expect((await cloud.call('GET', '/cumulet/v1/access')).body.access.endpoint).toBe(endpoint);
      const authority = readFileSync(files.cert, 'utf8');
      expect(await ca(cloud)).toBe(authority);
      const url = `https://127.0.0.1:${portOf(cloud)}/compute`;
      await ask(url, { ca: authority });
      bring('brought', 'IP:127.0.0.1');
      await cloud.controller.remote?.renew();
      await expect(ask(url, { ca: authority })).rejects.toThrow();
      await ask(url, { ca: readFileSync(files.cert) });
    } finally {
      await cloud.stop();
    }
    const place = join(directory, 'signed');
    await ownCertificate(exec, place, ['127.0.0.1'], Date.now());
    const signed = { cert: join(place, 'api.crt'), key: join(place, 'api.key') };
    const other = await startTestCloud({ config: { remote_api: remote(signed) } });
    expect(await ca(other)).toBeNull();
    await other.stop();
  });

  test.each([
    [
      'missing',
      () => ({ cert: join(directory, 'none'), key: join(directory, 'none') }),
      /remote_api.cert: can not be read/,
    ],
    ['without its key', () => ({ ...bring('half', 'IP:127.0.0.1'), key: null }), /give both or none/],
    ['no PEM', () => ({ ...bring('odd', 'IP:127.0.0.1'), cert: __filename }), /remote_api.cert: .* is not a PEM file/],
    [
      'with a key that is none',
      () => ({ ...bring('odd', 'IP:127.0.0.1'), key: __filename }),
      /remote_api.key: .* is not a PEM/,
    ],
    [
      'with the key of another',
      () => ({ ...bring('one', 'IP:127.0.0.1'), key: bring('two', 'IP:127.0.0.1').key }),
      /two.key is not the key of the certificate in .*one.crt/,
    ],
    [
      'for another name',
      () => bring('other', 'DNS:cloud.example,IP:10.0.0.5'),
      /is for cloud.example, 10.0.0.5, not for 127.0.0.1: listen on a name that it has/,
    ],
  ])('%s, it stops the start with words', async (_, files, words) => {
    const config = { remote_api: remote(files()) };
    await expect(startTestCloud({ config })).rejects.toThrow(words);
    await expect(checkRemoteApi(config)).rejects.toThrow(words);
  });

  test('its end is looked at before it is used', async () => {
    const check = (days: number): Promise<readonly string[]> =>
      checkRemoteApi({ remote_api: remote(bring(`days${days}`, 'IP:127.0.0.1', days)) });
    expect(await check(90)).toEqual([]);
    expect(await check(3)).toEqual([expect.stringMatching(/days3.crt: it expires on /)]);
    expect(await checkRemoteApi({ remote_api: remote() })).toEqual([]);
    expect(await checkRemoteApi({ remote_api: null })).toEqual([]);
    const soon = bring('soon', 'IP:127.0.0.1', 3);
    jest.useFakeTimers({ now: Date.now() + 4 * 86_400_000, doNotFake: ['nextTick', 'setImmediate'] });
    await expect(checkRemoteApi({ remote_api: remote(soon) })).rejects.toThrow(/it expired on/);
    jest.setSystemTime(Date.now() - 40 * 86_400_000);
    await expect(checkRemoteApi({ remote_api: remote(soon) })).rejects.toThrow(/it is not valid before/);
    jest.useRealTimers();
  });
});

describe('an address', () => {
  const own = ['node', '127.0.0.1', '10.0.0.5', 'fe80::1'];
  test.each([
    ['0.0.0.0', /every network of this machine.*this machine has 10.0.0.5$/],
    ['::', /every network/],
    ['10.0.0.6', /10.0.0.6 is not an address of this machine .*; this machine has 10.0.0.5$/],
    ['no-such-name.invalid', /the name no-such-name.invalid is not known/],
  ])('that can not be listened on is refused with those that can: %s', async (address, words) => {
    await expect(resolveAddress(address, own)).rejects.toThrow(words);
  });

  test('of this machine is taken', async () => {
    expect(await resolveAddress('10.0.0.5', own)).toEqual(['10.0.0.5']);
    expect(await resolveAddress('localhost', own)).toContain('127.0.0.1');
    await expect(resolveAddress('10.0.0.6', ['node'])).rejects.toThrow(/this machine has no address that others reach/);
  });

  test("that is the host's own name with an address of loopback only is refused", async () => {
    const lookup = jest.spyOn(dns, 'lookup') as unknown as jest.SpyInstance<Promise<{ address: string }[]>>;
    // As Debian's installer writes it into /etc/hosts.
    lookup.mockResolvedValue([{ address: '127.0.1.1' }]);
    await expect(resolveAddress('node', own)).rejects.toThrow(
      'the name node leads to 127.0.1.1 here (see /etc/hosts), where no other machine comes; this machine has 10.0.0.5',
    );
    lookup.mockResolvedValue([{ address: '127.0.1.1' }, { address: '10.0.0.5' }]);
    expect(await resolveAddress('node', own)).toEqual(['10.0.0.5']);
    lookup.mockRestore();
  });
});

test('a port that another program has stops the start with words', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(startTestCloud({ config: { remote_api: remote({ port }) } })).rejects.toThrow(
    `remote_api: port ${port} of 127.0.0.1 is in use by another program`,
  );
  other.close();
});

test('an address that is not there yet is waited for, and said to be missing', async () => {
  const cloud = await startTestCloud({ config: { remote_api: remote({ address: '198.51.100.7' }) } });
  try {
    expect((await cloud.call('GET', '/compute')).status).toBe(200);
    expect(cloud.controller.remote?.missing()).toEqual([
      expect.stringMatching(/198.51.100.7 is not an address of this machine/),
    ]);
    expect((await cloud.call('GET', '/cumulet/v1/access')).body).toEqual({ access: { endpoint: null, ca: null } });
    await cloud.controller.remote?.renew();
  } finally {
    await cloud.stop();
  }
});
