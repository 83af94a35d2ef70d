// cumulet host drain and undrain: everything leaves a host, so that somebody can work on it.
import { text, type Command, type Context, type Row } from '../command';
import { CliError } from '../errors';
import { waitForServer } from '../wait';
import { setService } from './hosts';

const BINARY = 'nova-compute';
const HOST = 'OS-EXT-SRV-ATTR:host';

const ask = ({ api }: Context, id: string, action: string, value: unknown): Promise<unknown> =>
  api.json('compute', 'POST', `/servers/${id}/action`, { [action]: value });

/** Moves a server that runs. */
async function moveLive(context: Context, id: string): Promise<Row> {
  await ask(context, id, 'os-migrateLive', { host: null, block_migration: 'auto' });
  return waitForServer(context, id, 'ACTIVE', 'PAUSED', 'SHUTOFF');
}

/** Moves one that is off; it stays off. */
async function moveCold(context: Context, id: string): Promise<Row> {
  await ask(context, id, 'migrate', null);
  const row = await waitForServer(context, id, 'VERIFY_RESIZE', 'SHUTOFF');
  if (row['status'] !== 'VERIFY_RESIZE') return row;
  await ask(context, id, 'confirmResize', null);
  return waitForServer(context, id, 'SHUTOFF');
}

/** The disk of one that is shelved is an image already: nothing has to move. */
async function offload(context: Context, id: string): Promise<Row> {
  await ask(context, id, 'shelveOffload', null);
  return waitForServer(context, id, 'SHELVED', 'SHELVED_OFFLOADED');
}

const WAYS: Readonly<Record<string, (context: Context, id: string) => Promise<Row>>> = {
  ACTIVE: moveLive,
  PAUSED: moveLive,
  SHUTOFF: moveCold,
  SHELVED: offload,
};

/** Where a server went, or why it stays. */
async function leave(context: Context, row: Row): Promise<{ host: unknown; why?: string }> {
  const [status, host] = [String(row['status']), row[HOST]];
  const way = WAYS[status];
  if (!way) return { host, why: `it is ${status}, and only servers that run or are off can leave` };
  try {
    const after = await way(context, String(row['id']));
    if (after[HOST] !== host) return { host: after[HOST] };
    return { host, why: `its migration failed (see: cumulet server why ${String(row['id'])})` };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { host, why: error.message };
  }
}

const drain: Command = {
  name: 'host drain',
  summary: 'Take a host out of service and move everything on it to others (administrators)',
  example: '--reason "new memory" node-1',
  args: ['host'],
  options: { reason: text('why', 'TEXT') },
  async run(context) {
    const { api, input, progress } = context;
    const host = input.arg(0);
    await setService(api, host, BINARY, true, input.text('reason') ?? 'it is drained');
    const servers = await api.list('compute', '/servers/detail', 'servers', { all_tenants: '1', host });
    const rows: Row[] = [];
    for (const [at, server] of servers.entries()) {
      progress(`${String(server['name'])} leaves ${host} (${at + 1} of ${servers.length})`);
      rows.push({ ...server, ...(await leave(context, server)) });
    }
    progress('');
    const left = rows.filter((row) => row['why'] !== undefined);
    if (left.length > 0) {
      const lines = left.map((row) => `${String(row['name'])}: ${String(row['why'])}`);
      throw new CliError(`${left.length} of ${rows.length} servers did not leave ${host}:\n${lines.join('\n')}`);
    }
    return { list: { columns: { ID: 'id', Name: 'name', Host: 'host' }, rows } };
  },
};

const undrain: Command = {
  name: 'host undrain',
  summary: 'Put a host back in service; what left it stays where it is (administrators)',
  example: 'node-1',
  args: ['host'],
  async run({ api, input }) {
    await setService(api, input.arg(0), BINARY, false);
    return undefined;
  },
};

export const commands: readonly Command[] = [drain, undrain];
