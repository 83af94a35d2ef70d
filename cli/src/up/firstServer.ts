// What project demo gets: a network with a router, open ICMP and ssh, a keypair, the server `hello` and its floating IP.
import { freeNetwork, usedNetworks, type Route } from './freeNetwork';
import { until, unlessThere } from './tenancy';
import { ApiError, type Session } from './session';

interface Named {
  readonly id: string;
  readonly name: string;
}
interface Server extends Named {
  readonly status: string;
  readonly fault?: { readonly message: string };
  readonly addresses: Readonly<
    Record<string, readonly { readonly addr: string; readonly 'OS-EXT-IPS:type': string }[]>
  >;
}

/** What demo's servers are in, unless this machine reaches something there: they could not reach that any more. */
const USUAL = '10.24.0';

async function ensure<T extends Named>(demo: Session, kind: string, query: string, body: () => object): Promise<T> {
  const listed = await demo.request<Record<string, T[]>>('network', 'GET', `/${kind}s?${query}`);
  const there = listed[`${kind}s`]?.[0];
  if (there) return there;
  const made = await demo.request<Record<string, T>>('network', 'POST', `/${kind}s`, { [kind]: body() });
  const result = made[kind];
  if (!result) throw new Error(`the answer to making the ${kind} holds none`);
  return result;
}

/** Network, subnet and router `demo`, joined to the external network. What is there is kept. @returns the network's id */
export async function ensureDemoNetwork(
  demo: Session,
  publicId: string,
  used: () => readonly Route[] = usedNetworks,
): Promise<string> {
  const mine = `name=demo&project_id=${demo.projectId}`;
  const network = await ensure(demo, 'network', mine, () => ({ name: 'demo' }));
  const subnet = await ensure(demo, 'subnet', `${mine}&network_id=${network.id}`, () => ({
    name: 'demo',
    network_id: network.id,
    ip_version: 4,
    cidr: `${freeNetwork(USUAL, used()).prefix}.0/24`,
  }));
  const router = await ensure(demo, 'router', mine, () => ({
    name: 'demo',
    external_gateway_info: { network_id: publicId },
  }));
  const { ports } = await demo.request<{ ports: Named[] }>(
    'network',
    'GET',
    `/ports?device_id=${router.id}&device_owner=network:router_interface`,
  );
  if (ports.length === 0)
    await demo.request('network', 'PUT', `/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
  return network.id;
}

/** Lets ICMP and ssh in through demo's default security group. */
export async function ensureOpenDoors(demo: Session): Promise<void> {
  const { security_groups: groups } = await demo.request<{ security_groups: Named[] }>(
    'network',
    'GET',
    `/security-groups?name=default&project_id=${demo.projectId}`,
  );
  const [group] = groups;
  if (!group) throw new Error('project demo has no default security group');
  const rule = { security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4' };
  for (const opened of [{ protocol: 'icmp' }, { protocol: 'tcp', port_range_min: 22, port_range_max: 22 }]) {
    await unlessThere(
      demo.request('network', 'POST', '/security-group-rules', { security_group_rule: { ...rule, ...opened } }),
    );
  }
}

/** Imports the caller's key as keypair `default`. @returns a warning when another key has that name */
export async function ensureKeypair(demo: Session, publicKey: string): Promise<string | undefined> {
  interface Keypairs {
    readonly keypairs: readonly { readonly keypair: { readonly name: string; readonly public_key: string } }[];
  }
  const { keypairs } = await demo.request<Keypairs>('compute', 'GET', '/os-keypairs');
  const there = keypairs.find(({ keypair }) => keypair.name === 'default')?.keypair;
  if (!there) {
    await demo.request('compute', 'POST', '/os-keypairs', {
      keypair: { name: 'default', type: 'ssh', public_key: publicKey },
    });
    return undefined;
  }
  const material = (line: string): string => line.split(/\s+/).slice(0, 2).join(' ');
  if (material(there.public_key) === material(publicKey)) return undefined;
  return 'the keypair default of project demo is another user\'s key: import yours with "openstack keypair create"';
}

async function byName(demo: Session, name: string): Promise<Server | undefined> {
  const { servers } = await demo.request<{ servers: Server[] }>('compute', 'GET', `/servers/detail?name=^${name}$`);
  return servers.find((server) => server.name === name);
}

async function gone(demo: Session, server: Server): Promise<void> {
  await demo.request('compute', 'DELETE', `/servers/${server.id}`);
  await until(`the failed server ${server.name} was not deleted`, 60, async () =>
    (await byName(demo, server.name)) ? undefined : true,
  );
}

/** Boots `hello` and waits until it is ACTIVE; one that failed before is replaced.
 * @throws Error with the fault of the server in words */
export async function ensureHello(demo: Session, networkId: string, progress: (text: string) => void): Promise<Server> {
  let server = await byName(demo, 'hello');
  if (server?.status === 'ERROR') {
    progress('removing the failed one');
    await gone(demo, server);
    server = undefined;
  }
  if (!server) {
    const { images } = await demo.request<{ images: Named[] }>('image', 'GET', '/images?name=tiny&status=active');
    const { flavors } = await demo.request<{ flavors: Named[] }>('compute', 'GET', '/flavors');
    const [image] = images;
    const flavor = flavors.find(({ name }) => name === 'm1.nano');
    if (!image || !flavor) throw new Error(`${image ? 'flavor m1.nano' : 'image tiny'} is not there`);
    const body = {
      name: 'hello',
      imageRef: image.id,
      flavorRef: flavor.id,
      key_name: 'default',
      networks: [{ uuid: networkId }],
    };
    await demo.request('compute', 'POST', '/servers', { server: body });
  }
  try {
    return await until('server hello did not become ACTIVE', 180, () => booted(demo, progress));
  } catch (error) {
    const doing = await byName(demo, 'hello').then((now) => now && whatNow(demo, now.id));
    throw new Error(`${(error as Error).message}${doing === undefined ? '' : `; last heard: ${doing}`}`, {
      cause: error,
    });
  }
}

/** The server once it is no longer being built. @throws Error with its fault */
async function booted(demo: Session, progress: (text: string) => void): Promise<Server | undefined> {
  const now = await byName(demo, 'hello');
  if (!now) throw new Error('server hello is gone while it was booting');
  if (now.status === 'ERROR') throw new Error(`server hello failed: ${now.fault?.message ?? 'no fault was told'}`);
  if (now.status !== 'BUILD') return now;
  progress(await whatNow(demo, now.id));
  return undefined;
}

interface Timeline {
  readonly tasks: readonly {
    readonly step: string;
    readonly running: boolean;
    readonly steps: readonly { readonly step: string; readonly message: string | null }[];
  }[];
}

/** The step that a server is at, with the last thing heard of it. */
async function whatNow(demo: Session, id: string): Promise<string> {
  const { tasks } = await demo
    .request<Timeline>('cumulet', 'GET', `/servers/${id}/timeline`)
    .catch((error: unknown): Timeline => {
      // Somebody deleted it since it was listed, which the next look finds.
      if (error instanceof ApiError && error.status === 404) return { tasks: [] };
      throw error;
    });
  const task = tasks.find(({ running }) => running) ?? tasks.at(-1);
  const message = task?.steps.at(-1)?.message;
  return `step ${task?.step ?? '?'}${message ? `: ${message}` : ''}`;
}

/** The server's floating address; one is allocated and given to it when it has none. */
export async function ensureFloatingIp(demo: Session, server: Server, publicId: string): Promise<string> {
  const { ports } = await demo.request<{ ports: Named[] }>('network', 'GET', `/ports?device_id=${server.id}`);
  const [port] = ports;
  if (!port) throw new Error(`server ${server.name} has no port`);
  interface Floating {
    readonly id: string;
    readonly floating_ip_address: string;
    readonly port_id: string | null;
  }
  const { floatingips } = await demo.request<{ floatingips: Floating[] }>(
    'network',
    'GET',
    `/floatingips?project_id=${demo.projectId}`,
  );
  const mine = floatingips.find(({ port_id }) => port_id === port.id);
  if (mine) return mine.floating_ip_address;
  const free = floatingips.find(({ port_id }) => port_id === null);
  const { floatingip } = free
    ? await demo.request<{ floatingip: Floating }>('network', 'PUT', `/floatingips/${free.id}`, {
        floatingip: { port_id: port.id },
      })
    : await demo.request<{ floatingip: Floating }>('network', 'POST', '/floatingips', {
        floatingip: { floating_network_id: publicId, port_id: port.id },
      });
  return floatingip.floating_ip_address;
}

/** The server hello and its floating address, when they are there. */
export async function helloAddress(
  demo: Session,
): Promise<{ status: string; address: string | undefined } | undefined> {
  const server = await byName(demo, 'hello');
  if (!server) return undefined;
  const floating = Object.values(server.addresses)
    .flat()
    .find((each) => each['OS-EXT-IPS:type'] === 'floating');
  return { status: server.status, address: floating?.addr };
}
