// cumulet flavor and keypair, the lists of identity, tokens, the catalog and the hypervisors.
import { readFileSync } from 'node:fs';
import { column, flag, text, type Command, type Row } from '../command';
import { CliError } from '../errors';
import { create, deleteCommand, each, given, listCommand, showCommand } from '../resource';
import { flavor, project, role, user } from './resources';

const flavorCommands: readonly Command[] = [
  listCommand(
    flavor,
    [
      ['ID', 'id'],
      ['Name', 'name'],
      ['RAM', 'ram'],
      ['Disk', 'disk'],
      ['VCPUs', 'vcpus'],
      ['Is Public', 'os-flavor-access:is_public'],
    ],
    { path: '/flavors/detail' },
  ),
  showCommand(flavor, 'm1.tiny'),
  deleteCommand(flavor, 'm1.tiny'),
  {
    name: 'flavor create',
    summary: 'Create a flavor (administrators)',
    example: 'cumulet flavor create --vcpus 1 --ram 256 --disk 1 m1.tiny',
    args: ['name'],
    options: {
      vcpus: text('processors', 'COUNT'),
      ram: text('memory in MiB', 'MIB'),
      disk: text('disk in GiB', 'GIB'),
      id: text('its id', 'ID'),
      private: flag('only for projects that are given access'),
    },
    run: ({ api, input }) =>
      create(
        api,
        flavor,
        given({
          name: input.arg(0),
          vcpus: input.number('vcpus') ?? 1,
          ram: input.number('ram') ?? 256,
          disk: input.number('disk') ?? 0,
          id: input.text('id'),
          'os-flavor-access:is_public': input.flag('private') ? false : undefined,
        }),
      ),
  },
];

const keypairPath = (name: string): string => `/os-keypairs/${encodeURIComponent(name)}`;

function publicKey(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(`the public key could not be read: ${(error as Error).message}`);
  }
}

const keypairCommands: readonly Command[] = [
  {
    name: 'keypair list',
    summary: 'List your keypairs',
    example: 'cumulet keypair list',
    async run({ api }) {
      const rows = (await api.list('compute', '/os-keypairs', 'keypairs')).map((row) => row['keypair'] as Row);
      const columns = [column('Name', 'name'), column('Fingerprint', 'fingerprint'), column('Type', 'type')];
      return { list: { columns, rows } };
    },
  },
  {
    name: 'keypair show',
    summary: 'Show one of your keypairs',
    example: 'cumulet keypair show default',
    args: ['keypair'],
    run: async ({ api, input }) => ({
      one: (await api.json('compute', 'GET', keypairPath(input.arg(0))))['keypair'] as Row,
    }),
  },
  {
    name: 'keypair create',
    summary: 'Bring a public key',
    example: 'cumulet keypair create --public-key ~/.ssh/id_ed25519.pub default',
    args: ['name'],
    options: { 'public-key': text('file with the public key', 'FILE', { required: true }) },
    async run({ api, input }) {
      const keypair = { name: input.arg(0), public_key: publicKey(input.text('public-key')), type: 'ssh' };
      return { one: (await api.json('compute', 'POST', '/os-keypairs', { keypair }))['keypair'] as Row };
    },
  },
  {
    name: 'keypair delete',
    summary: 'Delete keypairs',
    example: 'cumulet keypair delete default',
    args: ['keypair...'],
    async run({ api, input }) {
      await each(input.args, async (name) => void (await api.send('compute', 'DELETE', keypairPath(name))));
      return undefined;
    },
  },
];

const NAMED: [string, string][] = [
  ['ID', 'id'],
  ['Name', 'name'],
];

const cloudCommands: readonly Command[] = [
  ...[project, user, role].map((resource) => listCommand(resource, NAMED)),
  {
    name: 'token issue',
    summary: 'Get a token',
    example: 'cumulet token issue -f value -c id',
    async run({ api }) {
      const { id, expires_at, user: owner, project: scope } = await api.token();
      return { one: given({ id, expires: expires_at, user_id: owner.id, project_id: scope?.id }) };
    },
  },
  {
    name: 'catalog list',
    summary: 'List the services and where they are',
    example: 'cumulet catalog list',
    async run({ api }) {
      const { catalog } = await api.token();
      const endpoints = (row: Row): unknown =>
        (row['endpoints'] as Row[]).map((one) => `${String(one['interface'])}: ${String(one['url'])}`).join(', ');
      const columns = [column('Name', 'name'), column('Type', 'type'), { title: 'Endpoints', of: endpoints }];
      return { list: { columns, rows: catalog } };
    },
  },
  {
    name: 'hypervisor list',
    summary: 'List the hosts that run servers (administrators)',
    example: 'cumulet hypervisor list',
    async run({ api }) {
      const rows = await api.list('compute', '/os-hypervisors/detail', 'hypervisors');
      const columns = [
        column('ID', 'id'),
        column('Hypervisor Hostname', 'hypervisor_hostname'),
        column('Host IP', 'host_ip'),
        column('State', 'state'),
        column('Status', 'status'),
      ];
      return { list: { columns, rows } };
    },
  },
];

export const catalogCommands: readonly Command[] = [...flavorCommands, ...keypairCommands, ...cloudCommands];
