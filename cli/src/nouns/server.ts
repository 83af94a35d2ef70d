// cumulet server: create, list, show, set, unset, delete, rebuild; what is done to running ones is in serverActions.ts.
import { readFileSync } from 'node:fs';
import { flag, text, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { int, list, marks, pairs, ref, said, sets, str, unmarks } from '../fields';
import { changeCommand, paging, projectOptions, showCommand } from '../noun';
import { each, find, get, idFor, idOf, rowsOf } from '../resource';
import { waitForServer, waitUntilGone } from '../wait';
import { allServers, flavor, image, net, port, project, server, user } from './resources';

/** `demo=10.0.0.5, 172.24.4.7`: as `openstack` writes addresses. */
function addressesOf(row: Row): string {
  const networks = (row['addresses'] ?? {}) as Record<string, readonly { addr: string }[]>;
  return Object.entries(networks)
    .map(([name, addresses]) => `${name}=${addresses.map(({ addr }) => addr).join(', ')}`)
    .join('; ');
}

/** A file as base64. @throws CliError when it cannot be read */
function base64(file: string): string {
  try {
    return readFileSync(file).toString('base64');
  } catch (error) {
    throw new CliError(`${file} could not be read: ${(error as Error).message}`);
  }
}

const NIC: Readonly<Record<string, string>> = {
  'net-id': 'uuid',
  'port-id': 'port',
  'v4-fixed-ip': 'fixed_ip',
  'v6-fixed-ip': 'fixed_ip',
  tag: 'tag',
};

/** `net-id=NETWORK,v4-fixed-ip=ADDRESS`, or auto, or none. */
async function nic(given: string, { api }: Context): Promise<Row | string> {
  if (given === 'auto' || given === 'none') return given;
  const entries = given.split(',').map(async (part): Promise<[string, string]> => {
    const [key = '', value = ''] = part.split('=');
    const name = NIC[key];
    if (name === undefined || value === '')
      throw new CliError(`--nic is auto, none or KEY=VALUE with ${Object.keys(NIC).join(', ')}, not "${given}"`, 2);
    if (name === 'uuid') return [name, await idFor(api, net, value)];
    return [name, name === 'port' ? await idFor(api, port, value) : value];
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Adds to the networks; auto and none stand alone. */
const networks = (key?: string) => (values: readonly unknown[], before: Row) => {
  const words = values.filter((value) => value === 'auto' || value === 'none');
  const there = (before['networks'] ?? []) as unknown[];
  if (words.length > 0 && (values.length > 1 || there.length > 0))
    throw new CliError(`the network "${String(words[0])}" stands alone`, 2);
  if (words.length > 0) return { networks: words[0] };
  return { networks: [...there, ...values.map((value) => (key === undefined ? value : { [key]: value }))] };
};

/** Fields that a rebuild may change too. */
const contents: Options = {
  'key-name': str('key_name', 'keypair for logging in', 'KEY'),
  'user-data': str('user_data', 'file for its first boot', 'FILE', { read: base64 }),
  property: pairs('metadata', 'metadata'),
  description: str('description', 'what it is for'),
};

const creatable: Options = {
  image: ref('imageRef', image, 'image to boot from', { required: true }),
  flavor: ref('flavorRef', flavor, 'its size', { required: true }),
  network: list('networks', 'a network of it, or auto or none', 'NETWORK', {
    read: async (name, { api }) => (name === 'auto' || name === 'none' ? name : idFor(api, net, name)),
    put: networks('uuid'),
  }),
  port: list('networks', 'a port of it', 'PORT', {
    read: (name, { api }) => idFor(api, port, name),
    put: networks('port'),
  }),
  nic: list('networks', 'a network card', 'net-id=NETWORK,v4-fixed-ip=ADDRESS', { read: nic, put: networks() }),
  'security-group': list('security_groups', 'a security group of it', 'GROUP', { read: (name) => ({ name }) }),
  ...contents,
  'config-drive': sets({ config_drive: true }, 'bring metadata on a drive'),
  'use-config-drive': sets({ config_drive: true }, 'the same'),
  'no-config-drive': sets({ config_drive: false }, 'no such drive'),
  'availability-zone': str('availability_zone', 'where it shall run', 'ZONE'),
  host: str('host', 'host that shall run it (administrators)', 'HOST'),
  hint: pairs('hints', 'where it shall run: group, same_host or different_host and an id'),
  tag: list('tags', 'a tag of it', 'TAG'),
  min: int('min_count', 'least number of servers'),
  max: int('max_count', 'greatest number of servers'),
  password: str('adminPass', 'password of its administrator'),
};

const columns = {
  ID: 'id',
  Name: 'name',
  Status: 'status',
  Networks: addressesOf,
  Flavor: (row: Row) => (row['flavor'] as Row | undefined)?.['original_name'],
};

/** One server: waited for if wished, then shown with the password that only the creation tells. */
async function made(context: Context, id: string, password: unknown): Promise<Row> {
  const { api, input } = context;
  const one = input.flag('wait') ? await waitForServer(context, id, 'ACTIVE') : await get(api, server, id);
  return password === undefined ? one : { ...one, adminPass: password };
}

const createServer: Command = {
  name: 'server create',
  summary: 'Create a server',
  example: '--image tiny --flavor m1.tiny --network demo --wait hello',
  args: ['name'],
  options: { ...creatable, wait: flag('wait until it runs') },
  async run(context) {
    const { api, input } = context;
    const many = input.number('min') !== undefined || input.number('max') !== undefined;
    const { hints, ...wanted } = await said(context, creatable);
    const body = {
      networks: 'auto',
      ...wanted,
      name: input.arg(0),
      ...(many ? { return_reservation_id: true } : {}),
    };
    const answer = await api.json('compute', 'POST', '/servers', {
      server: body,
      ...(hints === undefined ? {} : { 'os:scheduler_hints': hints }),
    });
    if (!many) {
      const { id, adminPass } = answer['server'] as Row;
      return { one: await made(context, String(id), adminPass) };
    }
    const { reservation_id } = answer;
    const ids = (await rowsOf(api, server, { reservation_id })).map((row) => idOf(server, row));
    const rows: Row[] = [];
    for (const id of ids) rows.push(await made(context, id, undefined));
    return { list: { columns: { ID: 'id', Name: 'name', Status: 'status', Networks: addressesOf }, rows } };
  },
};

const everybody: Options = { 'all-projects': flag('look in every project (administrators)') };
const among = (input: Context['input']) => (input.flag('all-projects') ? allServers : server);

const deleteServer: Command = {
  name: 'server delete',
  summary: 'Delete one server or several',
  example: '--wait hello',
  args: ['server...'],
  options: { wait: flag('wait until they are gone'), force: flag('whatever they are doing'), ...everybody },
  async run(context) {
    const { api, input } = context;
    const ids = new Map<string, string>();
    try {
      await each(input.args, async (name) => {
        const id = await idFor(api, among(input), name);
        if (input.flag('force')) await api.json('compute', 'POST', `/servers/${id}/action`, { forceDelete: null });
        else await api.json('compute', 'DELETE', `/servers/${id}`);
        ids.set(id, name);
      });
    } finally {
      if (input.flag('wait')) for (const [id, name] of ids) await waitUntilGone(context, id, name);
    }
    return undefined;
  },
};

const rebuildable: Options = {
  image: ref('imageRef', image, 'image of the new disk; the same unless said'),
  name: str('name', 'its new name', 'NAME'),
  password: str('adminPass', 'password of its administrator'),
  ...contents,
  'no-key-name': sets({ key_name: null }, 'no keypair'),
  'no-user-data': sets({ user_data: null }, 'no file for its first boot'),
};

const rebuild: Command = {
  name: 'server rebuild',
  summary: 'Put a new disk made from an image into a server',
  example: '--image tiny --wait hello',
  args: ['server'],
  options: { ...rebuildable, wait: flag('wait until it runs') },
  async run(context) {
    const { api, input } = context;
    const now = await find(api, server, input.arg(0));
    const id = idOf(server, now);
    const body = await said(context, rebuildable);
    const imageRef = body['imageRef'] ?? ((await get(api, server, id))['image'] as Row)['id'];
    await api.json('compute', 'POST', `/servers/${id}/action`, { rebuild: { ...body, imageRef } });
    return {
      one: input.flag('wait') ? await waitForServer(context, id, 'ACTIVE', 'SHUTOFF') : await get(api, server, id),
    };
  },
};

const filters: Options = {
  status: str('status', 'only those in this status', 'STATUS'),
  name: str('name', 'only those whose name matches', 'REGEX'),
  ip: str('ip', 'only those with such an address', 'REGEX'),
  ip6: str('ip6', 'only those with such an IPv6 address', 'REGEX'),
  flavor: ref('flavor', flavor, 'only those of this size'),
  image: ref('image', image, 'only those from this image'),
  host: str('host', 'only those on this host (administrators)', 'HOST'),
  'all-projects': sets({ all_tenants: 'True' }, 'of every project (administrators)'),
  ...projectOptions(project, 'only those of this project (administrators)'),
  project: ref('project_id', project, 'only those of this project (administrators)', {
    within: 'project-domain',
    put: ([project_id]) => ({ project_id, all_tenants: 'True' }),
  }),
  user: ref('user_id', user, 'only those of this user (administrators)'),
  deleted: sets({ deleted: 'True' }, 'those that are gone (administrators)'),
  'availability-zone': str('availability_zone', 'only those in this zone', 'ZONE'),
  'key-name': str('key_name', 'only those with this keypair', 'KEY'),
  'config-drive': sets({ config_drive: 'True' }, 'only those with a config drive'),
  'no-config-drive': sets({ config_drive: '' }, 'only those without'),
  'vm-state': str('vm_state', 'only those in this state', 'STATE'),
  'task-state': str('task_state', 'only those at this task', 'STATE'),
  'power-state': str('power_state', 'only those with this power state', 'STATE'),
  'changes-since': str('changes-since', 'only what changed since', 'TIME'),
  'changes-before': str('changes-before', 'only what changed before', 'TIME'),
  locked: sets({ locked: 'True' }, 'only locked ones'),
  unlocked: sets({ locked: 'False' }, 'only unlocked ones'),
  tags: list('tags', 'only those with this tag', 'TAG', { put: (tags) => ({ tags: tags.join(',') }) }),
  'not-tags': list('not-tags', 'only those without this tag', 'TAG', {
    put: (tags) => ({ 'not-tags': tags.join(',') }),
  }),
  ...paging,
};

const POWER = ['NOSTATE', 'Running', '', 'Paused', 'Shutdown', '', 'Crashed', 'Suspended'];
const long = {
  'Task State': 'OS-EXT-STS:task_state',
  'Power State': (row: Row) => POWER[Number(row['OS-EXT-STS:power_state'])] ?? 'NOSTATE',
  'Availability Zone': 'OS-EXT-AZ:availability_zone',
  Host: 'OS-EXT-SRV-ATTR:host',
  Properties: 'metadata',
  Created: 'created',
};

const listServers: Command = {
  name: 'server list',
  summary: 'List every server you may see',
  example: '--status ACTIVE -f json',
  options: { ...filters, long: flag('more columns'), 'no-name-lookup': { ...flag('show ids of images'), short: 'n' } },
  async run(context) {
    const { api, input } = context;
    const query = await said(context, filters);
    const [rows, images] = await Promise.all([
      rowsOf(api, server, query, server.detail),
      // The bodies of servers name images by id only.
      input.flag('no-name-lookup') ? [] : rowsOf(api, image),
    ]);
    const names = new Map(images.map(({ id, name }) => [id, name]));
    const Image = (row: Row): unknown => {
      const id = (row['image'] as Row)['id'];
      return names.get(id) ?? id ?? 'N/A (booted from volume)';
    };
    const shown = { ...columns, Image };
    return { list: { columns: input.flag('long') ? { ...shown, ...long } : shown, rows } };
  },
};

/** What a server is made to be: its state in the database (administrators), its password. */
const settable: Options = {
  name: str('name', 'its new name', 'NAME'),
  description: str('description', 'what it is for'),
  hostname: str('hostname', 'name its system gets (compute API 2.90)', 'NAME'),
  property: pairs('metadata', 'metadata'),
  tag: marks('tags', 'a tag of it', 'TAG'),
  state: text('active or error: what the database shall believe (administrators)', 'STATE', {
    oneOf: ['active', 'error'],
    put: ([state]) => ({ actions: { 'os-resetState': { state } } }),
  }),
  password: text('new password of its administrator', 'PASSWORD', {
    put: ([adminPass]) => ({ actions: { changePassword: { adminPass } } }),
  }),
};

export const commands: readonly Command[] = [
  createServer,
  listServers,
  showCommand(server, 'hello'),
  changeCommand(server, 'set', { example: '--property role=web --tag red hello', options: settable }),
  changeCommand(server, 'unset', {
    example: '--property role hello',
    options: {
      property: unmarks('metadata', 'metadata to take away', 'KEY'),
      tag: unmarks('tags', 'a tag to take away', 'TAG'),
      description: sets({ description: null }, 'the description'),
    },
  }),
  deleteServer,
  rebuild,
];
