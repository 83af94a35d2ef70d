// cumulet server resize, migrate, migration and evacuate: another flavor or another host.
import { flag, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { ref, said, str } from '../fields';
import { paging } from '../noun';
import { each, get, idFor } from '../resource';
import { waitForServer } from '../wait';
import { flavor, server } from './resources';

const wait = flag('wait until it is done');
/** Where a server is; only administrators see it. */
const HOST = 'OS-EXT-SRV-ATTR:host';

async function act({ api }: Context, id: string, action: string, value: unknown): Promise<void> {
  await api.json('compute', 'POST', `/servers/${id}/action`, { [action]: value });
}

/** Waits for the end of it. @throws CliError when the server ended as what it was */
async function waitFor(context: Context, id: string, wanted: readonly string[], words: string): Promise<Row> {
  const row = await waitForServer(context, id, 'VERIFY_RESIZE', 'ACTIVE', 'SHUTOFF');
  if (wanted.includes(String(row['status']))) return row;
  const name = String(row['name']);
  throw new CliError(`server "${name}" could not be ${words}, it is what it was (see: cumulet server why ${name})`);
}
const moved = (context: Context, id: string, words: string): Promise<Row> =>
  context.input.flag('wait') ? waitFor(context, id, ['VERIFY_RESIZE'], words) : get(context.api, server, id);

const resizable: Options = { flavor: ref('flavorRef', flavor, 'its new size', { required: true }) };

const resize: Command = {
  name: 'server resize',
  summary: 'Give a server another size; it waits for "server resize confirm" or "server resize revert"',
  example: '--flavor m1.small --wait hello',
  args: ['server'],
  options: { ...resizable, wait },
  async run(context) {
    const { api, input } = context;
    const id = await idFor(api, server, input.arg(0));
    await act(context, id, 'resize', await said(context, resizable));
    return { one: await moved(context, id, 'resized') };
  },
};

/** The two ends of a resize, which migrations share under a name of their own. */
const ENDS = [
  { verb: 'confirm', action: 'confirmResize', summary: 'keeps what it has now', words: 'confirmed' },
  { verb: 'revert', action: 'revertResize', summary: 'goes back to what it was', words: 'reverted' },
] as const;
const ends = ENDS.flatMap(({ verb, action, summary, words }) =>
  (['resize', 'migration'] as const).map((noun): Command => ({
    name: `server ${noun} ${verb}`,
    summary: `A server ${noun === 'resize' ? 'of another size' : 'on another host'} ${summary}`,
    example: '--wait hello',
    args: ['server...'],
    options: { wait },
    async run(context) {
      const { api, input } = context;
      return each(input.args, async (name) => {
        const id = await idFor(api, server, name);
        await act(context, id, action, null);
        if (input.flag('wait')) await waitFor(context, id, ['ACTIVE', 'SHUTOFF'], words);
      });
    },
  })),
);

/** Whether the server is elsewhere when its migration has ended. @throws CliError when it stayed */
async function liveMigrate(context: Context, id: string, host: string | null, block: boolean | 'auto'): Promise<Row> {
  const { api, input } = context;
  const before = await get(api, server, id);
  await act(context, id, 'os-migrateLive', { host, block_migration: block });
  if (!input.flag('wait')) return get(api, server, id);
  const row = await waitForServer(context, id, 'ACTIVE', 'PAUSED');
  if (row[HOST] !== before[HOST]) return row;
  const name = String(row['name']);
  throw new CliError(`server "${name}" was not migrated, it runs where it was (see: cumulet server why ${name})`);
}

const migrate: Command = {
  name: 'server migrate',
  summary: 'Move a server to another host while it is off; it waits for "server migration confirm" or "revert"',
  example: '--live-migration --wait hello',
  args: ['server'],
  options: {
    'live-migration': flag('move it while it runs; nothing waits then'),
    'block-migration': flag('copy its disk, with --live-migration; found out unless set'),
    'shared-migration': flag('do not copy its disk, with --live-migration'),
    host: str('host', 'host to move it to (compute API 2.56)', 'HOST'),
    wait,
  },
  async run(context) {
    const { api, input } = context;
    const id = await idFor(api, server, input.arg(0));
    const host = input.text('host');
    const [block, shared] = [input.flag('block-migration'), input.flag('shared-migration')];
    if (block && shared) throw new CliError('--block-migration and --shared-migration exclude each other', 2);
    if (input.flag('live-migration'))
      return { one: await liveMigrate(context, id, host ?? null, block || (shared ? false : 'auto')) };
    if (block || shared) throw new CliError('--block-migration and --shared-migration go with --live-migration', 2);
    await act(context, id, 'migrate', host === undefined ? null : { host });
    return { one: await moved(context, id, 'migrated') };
  },
};

const evacuate: Command = {
  name: 'server evacuate',
  summary: 'Build a server anew, with a new disk, on another host because its own is down (administrators)',
  example: '--wait hello',
  args: ['server'],
  options: { host: str('host', 'host to build it on; the scheduler chooses unless set', 'HOST'), wait },
  async run(context) {
    const { api, input } = context;
    const id = await idFor(api, server, input.arg(0));
    const before = await get(api, server, id);
    const host = input.text('host');
    await act(context, id, 'evacuate', host === undefined ? {} : { host });
    if (!input.flag('wait')) return { one: await get(api, server, id) };
    const row = await waitForServer(context, id, 'ACTIVE', 'SHUTOFF');
    if (row[HOST] !== before[HOST]) return { one: row };
    const name = String(row['name']);
    throw new CliError(`server "${name}" was not evacuated, it is where it was (see: cumulet server why ${name})`);
  },
};

const filters: Options = {
  server: ref('instance_uuid', server, 'only those of this server'),
  host: str('host', 'only those from or to this host', 'HOST'),
  status: str('status', 'only those in this state', 'STATUS'),
  type: str('migration_type', 'only of this type: resize, migration, live-migration or evacuation', 'TYPE'),
  'changes-since': str('changes-since', 'only what changed since', 'TIME'),
  'changes-before': str('changes-before', 'only what changed before', 'TIME'),
  ...paging,
};

const listMigrations: Command = {
  name: 'server migration list',
  summary: 'List resizes, migrations and evacuations of servers (administrators)',
  example: '--server hello',
  options: filters,
  async run(context) {
    const rows = await context.api.list('compute', '/os-migrations', 'migrations', await said(context, filters));
    return {
      list: {
        columns: {
          Id: 'id',
          UUID: 'uuid',
          'Source Compute': 'source_compute',
          'Dest Compute': 'dest_compute',
          Status: 'status',
          'Server UUID': 'instance_uuid',
          Type: 'migration_type',
          'Created At': 'created_at',
          'Updated At': 'updated_at',
        },
        rows,
      },
    };
  },
};

const migrationEnds: readonly Command[] = [
  {
    name: 'server migration abort',
    summary: 'End a live migration; the server stays where it is (administrators)',
    example: 'hello 7',
    args: ['server', 'migration'],
    async run({ api, input }) {
      const id = await idFor(api, server, input.arg(0));
      await api.json('compute', 'DELETE', `/servers/${id}/migrations/${encodeURIComponent(input.arg(1))}`);
      return undefined;
    },
  },
  {
    name: 'server migration force complete',
    summary: 'Stop a server until its live migration has ended (administrators)',
    example: 'hello 7',
    args: ['server', 'migration'],
    async run({ api, input }) {
      const id = await idFor(api, server, input.arg(0));
      const path = `/servers/${id}/migrations/${encodeURIComponent(input.arg(1))}/action`;
      await api.json('compute', 'POST', path, { force_complete: null });
      return undefined;
    },
  },
];

export const commands: readonly Command[] = [resize, ...ends, migrate, listMigrations, ...migrationEnds, evacuate];
