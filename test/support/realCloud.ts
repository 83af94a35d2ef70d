// A cloud of its own for benchmarks and tests on real parts: the real standalone process with a fresh directory, spoken to over HTTP.
import { spawn } from 'node:child_process';
import { chmodSync, createReadStream, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { root } from './checkout';
import { childCoverage } from './childCoverage';
import { freePort } from './freePort';
import { runProcess } from './programs';

/** Speaks to a cloud as its administrator. */
export interface CloudClient {
  readonly url: string;
  token: string;
  /** A JSON request. @throws Error when the status is 400 or more */
  call<T = Record<string, never>>(method: string, path: string, body?: unknown): Promise<T>;
  /** The raw answer, for streams and headers. */
  request(method: string, path: string, init?: RequestInit): Promise<Response>;
}

export interface RealCloud extends CloudClient {
  readonly pid: number;
  readonly directory: string;
  stop(): Promise<void>;
}

export const PASSWORD = 'real-password';

export const passwordBody = (scope = true): unknown => ({
  auth: {
    identity: {
      methods: ['password'],
      password: { user: { name: 'admin', domain: { id: 'default' }, password: PASSWORD } },
    },
    ...(scope ? { scope: { project: { name: 'admin', domain: { id: 'default' } } } } : {}),
  },
});

/** Waits until a probe answers with 200. @throws Error when the cloud's process ends before, or after a minute */
export async function ready(probe: string, exitCode: () => number | null | undefined): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const code = exitCode() ?? null;
    if (code !== null) throw new Error(`the cloud ended with ${code}; see its log`);
    const answer = await fetch(probe).catch(() => undefined);
    if (answer?.status === 200) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`${probe} did not answer with 200 within 60 s`);
}

/** Signs in as administrator. */
export async function connect(url: string): Promise<CloudClient> {
  const client: CloudClient = {
    url,
    token: '',
    request: (method, path, init = {}) =>
      fetch(url + path, {
        method,
        ...init,
        headers: {
          'x-auth-token': client.token,
          'openstack-api-version': 'compute 2.79',
          ...(init.headers as Record<string, string>),
        },
      }),
    async call<T>(method: string, path: string, body?: unknown) {
      const answer = await client.request(
        method,
        path,
        body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
      );
      const text = await answer.text();
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return (text ? JSON.parse(text) : {}) as T;
    },
  };
  const issued = await client.request('POST', '/identity/v3/auth/tokens', {
    body: JSON.stringify(passwordBody()),
    headers: { 'content-type': 'application/json' },
  });
  client.token = issued.headers.get('x-subject-token') ?? '';
  if (!client.token) throw new Error(`no token: ${issued.status} ${await issued.text()}`);
  return client;
}

/** Starts the built standalone cloud and waits for its agents. Only one can run on a machine. */
export async function startRealCloud(): Promise<RealCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-real-'));
  const [port, health] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const config = join(directory, 'cumulet.yaml');
  writeFileSync(join(directory, 'bootstrap.json'), JSON.stringify({ admin_password: PASSWORD }), { mode: 0o600 });
  writeFileSync(
    config,
    JSON.stringify({
      listen: `127.0.0.1:${port}`,
      data_dir: join(directory, 'data'),
      bootstrap_file: join(directory, 'bootstrap.json'),
      health: { port: health },
      // Twenty small servers have room on two cores.
      controller: { ratios: { vcpus: 16 } },
    }),
  );
  // QEMU runs as another user and must get through to its disks.
  chmodSync(directory, 0o711);
  const log = openSync(join(directory, 'log'), 'w');
  const main = join(root, 'standalone/dist/main.js');
  const env = { ...process.env, ...childCoverage() };
  const child = spawn(process.execPath, [main, '--config', config], { stdio: ['ignore', log, log], env });
  await ready(`http://127.0.0.1:${health}/readyz`, () => child.exitCode);
  const client = await connect(url);
  return Object.assign(client, {
    pid: child.pid ?? 0,
    directory,
    async stop() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
      const { exit, err } = await runProcess('standalone', '--config', config, '--purge');
      rmSync(directory, { recursive: true, force: true });
      if (exit !== 0) throw new Error(`the purge ended with ${exit}: ${err}`);
    },
  });
}

/** Uploads a file as an image and returns its id. */
export async function uploadImage(cloud: CloudClient, file: string, format: string, name: string): Promise<string> {
  const { id } = await cloud.call<{ id: string }>('POST', '/image/v2/images', {
    name,
    disk_format: format,
    container_format: 'bare',
  });
  const body = Readable.toWeb(createReadStream(file, { highWaterMark: 1 << 20 })) as ReadableStream;
  const answer = await cloud.request('PUT', `/image/v2/images/${id}/file`, {
    body,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(statSync(file).size) },
    duplex: 'half',
  });
  if (answer.status !== 204) throw new Error(`upload: ${answer.status} ${await answer.text()}`);
  return id;
}

export interface Content {
  readonly image: string;
  readonly flavor: string;
  readonly network: string;
}

/** An image, a flavor and a network to boot servers on; quotas without limit. */
export async function makeContent(cloud: CloudClient, imageFile: string, networkName = 'bench'): Promise<Content> {
  const image = await uploadImage(cloud, imageFile, 'qcow2', 'tiny');
  const { flavor } = await cloud.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'm1.nano', vcpus: 1, ram: 128, disk: 1 },
  });
  const network = await makeNetwork(cloud, networkName, '10.77.0.0/16');
  await liftQuotas(cloud);
  return { image, flavor: flavor.id, network };
}

/** Lets the administrator's project have as much as it likes. */
export async function liftQuotas(cloud: CloudClient): Promise<void> {
  const answer = await cloud.request('GET', '/identity/v3/auth/tokens', {
    headers: { 'x-subject-token': cloud.token },
  });
  const { token } = (await answer.json()) as { token: { project: { id: string } } };
  const project = token.project.id;
  await cloud.call('PUT', `/compute/v2.1/os-quota-sets/${project}`, {
    quota_set: { instances: -1, cores: -1, ram: -1 },
  });
  await cloud.call('PUT', `/network/v2.0/quotas/${project}`, { quota: { port: -1, network: -1, subnet: -1 } });
}

export async function makeNetwork(cloud: CloudClient, name: string, cidr: string): Promise<string> {
  const { network } = await cloud.call<{ network: { id: string } }>('POST', '/network/v2.0/networks', {
    network: { name },
  });
  await cloud.call('POST', '/network/v2.0/subnets', { subnet: { network_id: network.id, ip_version: 4, cidr } });
  return network.id;
}

export interface ServerBody {
  readonly id: string;
  readonly status: string;
  readonly fault?: { message: string };
}

/** Asks for a server and returns its id. */
export async function createServer(cloud: CloudClient, content: Content, name: string): Promise<string> {
  const { server } = await cloud.call<{ server: ServerBody }>('POST', '/compute/v2.1/servers', {
    server: { name, imageRef: content.image, flavorRef: content.flavor, networks: [{ uuid: content.network }] },
  });
  return server.id;
}

/** Asks every few milliseconds until the server has the status. @throws Error when it is in ERROR */
export async function until(cloud: CloudClient, id: string, status: string, pollMs = 5): Promise<void> {
  for (;;) {
    const { server } = await cloud.call<{ server: ServerBody }>('GET', `/compute/v2.1/servers/${id}`);
    if (server.status === status) return;
    if (server.status === 'ERROR') throw new Error(`server ${id}: ${server.fault?.message ?? 'ERROR'}`);
    await new Promise((next) => setTimeout(next, pollMs));
  }
}

/** Deletes a server and waits until it is gone. */
export async function deleteServer(cloud: CloudClient, id: string): Promise<void> {
  await cloud.call('DELETE', `/compute/v2.1/servers/${id}`);
  for (;;) {
    const answer = await cloud.request('GET', `/compute/v2.1/servers/${id}`);
    await answer.arrayBuffer();
    if (answer.status === 404) return;
    await new Promise((next) => setTimeout(next, 5));
  }
}
