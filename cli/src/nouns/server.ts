// cumulet server: create, list, show, delete, rebuild and the addresses of servers; power is in serverPower.ts.
import { readFileSync } from 'node:fs';
import type { Api } from '../api';
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError } from '../errors';
import { create, each, find, given, idFor, listCommand, showCommand } from '../resource';
import { pairs } from '../pairs';
import { waitForServer, waitUntilGone } from '../wait';
import { flavor, floatingIp, image, net, port, server } from './resources';

/** `demo=10.0.0.5, 172.24.4.7`: as `openstack` writes addresses. */
function addressesOf(row: Row): string {
  const networks = (row['addresses'] ?? {}) as Record<string, readonly { addr: string }[]>;
  return Object.entries(networks)
    .map(([name, list]) => `${name}=${list.map(({ addr }) => addr).join(', ')}`)
    .join('; ');
}

async function networksOf({ api, input }: Context): Promise<unknown> {
  const networks = input.all('network');
  const ports = input.all('port');
  const [only] = networks;
  if (networks.length + ports.length === 0) return 'auto';
  if (networks.length === 1 && ports.length === 0 && (only === 'auto' || only === 'none')) return only;
  return [
    ...(await Promise.all(networks.map(async (name) => ({ uuid: await idFor(api, net, name) })))),
    ...(await Promise.all(ports.map(async (name) => ({ port: await idFor(api, port, name) })))),
  ];
}

function userData(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file).toString('base64');
  } catch (error) {
    throw new CliError(`user data could not be read: ${(error as Error).message}`);
  }
}

const createServer: Command = {
  name: 'server create',
  summary: 'Create a server',
  example: 'cumulet server create --image tiny --flavor m1.tiny --network demo --wait hello',
  args: ['name'],
  options: {
    image: text('image to boot from', 'IMAGE', { required: true }),
    flavor: text('its size', 'FLAVOR', { required: true }),
    network: text('a network of it, or auto or none; may be repeated', 'NETWORK', { multiple: true }),
    port: text('a port of it; may be repeated', 'PORT', { multiple: true }),
    'security-group': text('a security group of it; may be repeated', 'GROUP', { multiple: true }),
    'key-name': text('keypair for logging in', 'KEY'),
    'user-data': text('file for its first boot', 'FILE'),
    'config-drive': flag('bring metadata on a drive'),
    property: text('metadata; may be repeated', 'KEY=VALUE', { multiple: true }),
    'availability-zone': text('where it shall run', 'ZONE'),
    host: text('host that shall run it', 'HOST'),
    min: text('least number of servers', 'COUNT'),
    max: text('greatest number of servers', 'COUNT'),
    wait: flag('wait until it runs'),
  },
  async run(context) {
    const { api, input } = context;
    const [imageRef, flavorRef, networks] = await Promise.all([
      idFor(api, image, input.text('image') ?? ''),
      idFor(api, flavor, input.text('flavor') ?? ''),
      networksOf(context),
    ]);
    const groups = input.all('security-group').map((name) => ({ name }));
    const { one } = await create(
      api,
      server,
      given({
        name: input.arg(0),
        imageRef,
        flavorRef,
        networks,
        key_name: input.text('key-name'),
        user_data: userData(input.text('user-data')),
        config_drive: input.flag('config-drive') || undefined,
        security_groups: groups.length > 0 ? groups : undefined,
        metadata: pairs(input.all('property')),
        availability_zone: input.text('availability-zone'),
        host: input.text('host'),
        min_count: input.number('min'),
        max_count: input.number('max'),
      }),
    );
    const id = String(one['id']);
    const made = input.flag('wait') ? await waitForServer(context, id, 'ACTIVE') : await find(api, server, id);
    const { links: _, ...shown } = made;
    return { one: one['adminPass'] === undefined ? shown : { ...shown, adminPass: one['adminPass'] } };
  },
};

const deleteServer: Command = {
  name: 'server delete',
  summary: 'Delete one server or several',
  example: 'cumulet server delete --wait hello',
  args: ['server...'],
  options: { wait: flag('wait until they are gone') },
  async run(context) {
    const { api, input } = context;
    await each(input.args, async (name) => {
      const id = await idFor(api, server, name);
      await api.send('compute', 'DELETE', `/servers/${id}`);
      if (input.flag('wait')) await waitUntilGone(context, id, name);
    });
    return undefined;
  },
};

const rebuild: Command = {
  name: 'server rebuild',
  summary: 'Put a new disk made from an image into a server',
  example: 'cumulet server rebuild --image tiny --wait hello',
  args: ['server'],
  options: { image: text('image of the new disk', 'IMAGE', { required: true }), wait: flag('wait until it runs') },
  async run(context) {
    const { api, input } = context;
    const [id, imageRef] = await Promise.all([
      idFor(api, server, input.arg(0)),
      idFor(api, image, input.text('image') ?? ''),
    ]);
    await api.send('compute', 'POST', `/servers/${id}/action`, { rebuild: { imageRef } });
    return input.flag('wait') ? { one: await waitForServer(context, id, 'ACTIVE', 'SHUTOFF') } : undefined;
  },
};

async function firstPort(api: Api, name: string): Promise<string> {
  const device_id = await idFor(api, server, name);
  const [first] = await api.list('network', '/ports', 'ports', { device_id });
  if (!first) throw new CliError(`server "${name}" has no port: it was created without a network`);
  return String(first['id']);
}

const floating = (verb: 'add' | 'remove'): Command => ({
  name: `server ${verb} floating ip`,
  summary: verb === 'add' ? 'Give a floating IP to a server' : 'Take a floating IP from a server',
  example: `cumulet server ${verb} floating ip hello 172.24.4.10`,
  args: ['server', 'address'],
  async run({ api, input }) {
    const own = await firstPort(api, input.arg(0));
    const found = await find(api, floatingIp, input.arg(1));
    if (verb === 'remove' && found['port_id'] !== own)
      throw new CliError(`${input.arg(1)} does not belong to server "${input.arg(0)}"`);
    const port_id = verb === 'add' ? own : null;
    await api.send('network', 'PUT', `/floatingips/${String(found['id'])}`, { floatingip: { port_id } });
    return undefined;
  },
});

const list = listCommand(
  server,
  [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Status', 'status'],
    { title: 'Networks', of: addressesOf },
    { title: 'Flavor', of: (row) => (row['flavor'] as Row | undefined)?.['original_name'] },
  ],
  {
    path: '/servers/detail',
    options: {
      'all-projects': flag('of every project (administrators)'),
      status: text('only those in this status', 'STATUS'),
      name: text('only those whose name matches', 'REGEX'),
    },
    query: ({ input }) => ({
      status: input.text('status'),
      name: input.text('name'),
      all_tenants: input.flag('all-projects') ? 'True' : undefined,
    }),
  },
);

export const serverCommands: readonly Command[] = [
  createServer,
  list,
  showCommand(server, 'hello'),
  deleteServer,
  rebuild,
  floating('add'),
  floating('remove'),
];
