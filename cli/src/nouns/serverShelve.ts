// cumulet server shelve and unshelve: off its host, with its disk kept as an image, and back.
import { flag, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { said, sets, str } from '../fields';
import { each, idFor } from '../resource';
import { waitForServer } from '../wait';
import { server } from './resources';

const wait = flag('wait until it is done');
const GONE = 'SHELVED_OFFLOADED';

const act = ({ api }: Context, id: string, action: string, value: Row | null = null): Promise<Row> =>
  api.json('compute', 'POST', `/servers/${id}/action`, { [action]: value });

/** Waits for the end of it. @throws CliError when the server ended as what it was */
async function waitFor(context: Context, id: string, wanted: readonly string[], words: string): Promise<Row> {
  const row = await waitForServer(context, id, 'SHELVED', GONE, 'ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED');
  if (wanted.includes(String(row['status']))) return row;
  const name = String(row['name']);
  throw new CliError(`server "${name}" could not be ${words}, it is what it was (see: cumulet server why ${name})`);
}

const shelve: Command = {
  name: 'server shelve',
  summary: 'Keep the disks of servers as images and take them off their hosts',
  example: '--wait hello',
  args: ['server...'],
  options: { offload: flag('off their hosts at once, whatever the cloud does by itself (administrators)'), wait },
  async run(context) {
    const { api, input } = context;
    return each(input.args, async (name) => {
      const id = await idFor(api, server, name);
      await act(context, id, 'shelve');
      if (!input.flag('wait') && !input.flag('offload')) return;
      const { status } = await waitFor(context, id, ['SHELVED', GONE], 'shelved');
      if (!input.flag('offload') || status === GONE) return;
      await act(context, id, 'shelveOffload');
      if (input.flag('wait')) await waitFor(context, id, [GONE], 'taken off its host');
    });
  },
};

const target: Options = {
  'availability-zone': str('availability_zone', 'zone to come back to', 'ZONE'),
  'no-availability-zone': sets({ availability_zone: null }, 'to any zone (compute API 2.91)'),
  host: str('host', 'host to come back to (compute API 2.91, administrators)', 'HOST'),
};

const unshelve: Command = {
  name: 'server unshelve',
  summary: 'Have shelved servers run again',
  example: '--wait hello',
  args: ['server...'],
  options: { ...target, wait },
  async run(context) {
    const { api, input } = context;
    const wish = await said(context, target);
    return each(input.args, async (name) => {
      const id = await idFor(api, server, name);
      await act(context, id, 'unshelve', Object.keys(wish).length > 0 ? wish : null);
      if (input.flag('wait')) await waitFor(context, id, ['ACTIVE'], 'unshelved');
    });
  },
};

export const commands: readonly Command[] = [shelve, unshelve];
