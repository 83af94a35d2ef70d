// cumulet resource provider inventory and usage, resource usage: how much there is, is given out and is claimed.
import { flag, text, type Command, type Context, type Option, type Result, type Row } from '../command';
import { CliError } from '../errors';
import { said, str } from '../fields';
import { partCommand, providerPath, rowsWith } from './provider';
import { projectOf } from './resources';

type Inventories = Readonly<Record<string, Readonly<Record<string, number>>>>;
const FIELDS = ['allocation_ratio', 'min_unit', 'max_unit', 'reserved', 'step_size', 'total'];

/** CLASS:FIELD=VALUE; without a field it is the total. @throws CliError with status 2 */
function inventoryField(given: string): { readonly name: string; readonly field: string; readonly value: number } {
  const [, name = '', field = 'total', value = ''] = /^([A-Z0-9_]+)(?::([a-z_]+))?=(\d+(?:\.\d+)?)$/.exec(given) ?? [];
  if (name === '' || !FIELDS.includes(field))
    throw new CliError(`--resource takes CLASS:FIELD=VALUE with one of ${FIELDS.join(', ')}, not "${given}"`, 2);
  return { name, field, value: Number(value) };
}

/** @throws CliError with status 2 */
function number(given: string, _context: Context, option: string): number {
  if (!/^\d+(\.\d+)?$/.test(given)) throw new CliError(`--${option} takes a number, not "${given}"`, 2);
  return Number(given);
}

const read = (context: Context, path: string): Promise<Row> => context.api.json('placement', 'GET', path);

async function inventoryRows(context: Context, path: string): Promise<Result> {
  const [{ inventories }, { usages }] = await Promise.all([
    read(context, `${path}/inventories`),
    read(context, `${path}/usages`),
  ]);
  const used = usages as Row;
  return rowsWith(
    ['resource_class', ...FIELDS, 'used'],
    Object.entries(inventories as Inventories).map(([name, fields]) => ({
      resource_class: name,
      ...fields,
      used: used[name],
    })),
  );
}

const usageRows = (usages: unknown): Result =>
  rowsWith(
    ['resource_class', 'usage'],
    Object.entries(usages as Row).map(([resource_class, usage]) => ({ resource_class, usage })),
  );

const set: Command = {
  name: 'resource provider inventory set',
  summary: 'Set how much of what a host has is given out (administrators)',
  example: '--amend --resource VCPU:allocation_ratio=4 --resource MEMORY_MB:reserved=1024 node-1',
  args: ['resource-provider'],
  options: {
    resource: text('a field of an inventory; may be repeated', 'CLASS:FIELD=VALUE', { multiple: true }),
    amend: flag('what is not named stays; otherwise every class must be named'),
  },
  async run(context) {
    const { api, input } = context;
    const fields = input.all('resource').map(inventoryField);
    const path = await providerPath(context);
    const now = await read(context, `${path}/inventories`);
    const inventories: Record<string, Row> = input.flag('amend') ? { ...(now['inventories'] as Inventories) } : {};
    for (const { name, field, value } of fields) inventories[name] = { ...inventories[name], [field]: value };
    await api.json('placement', 'PUT', `${path}/inventories`, { ...now, inventories });
    return inventoryRows(context, path);
  },
};

/** Fields of one inventory as options: allocation_ratio is --allocation-ratio. */
const fieldOptions = Object.fromEntries(
  FIELDS.map((field) => [
    field.replace('_', '-'),
    str(field, `its ${field.replace('_', ' ')}`, 'NUMBER', { read: number }),
  ]),
);

const setClass: Command = {
  name: 'resource provider inventory class set',
  summary: 'Set all of one inventory of a host; what is not said has its default (administrators)',
  example: '--total 8 --allocation-ratio 4 node-1 VCPU',
  args: ['resource-provider', 'class'],
  options: { ...fieldOptions, total: { ...(fieldOptions['total'] as Option), required: true } },
  async run(context) {
    const path = await providerPath(context);
    const { resource_provider_generation } = await read(context, `${path}/inventories`);
    const body = { ...(await said(context, fieldOptions)), resource_provider_generation };
    return {
      one: await context.api.json(
        'placement',
        'PUT',
        `${path}/inventories/${encodeURIComponent(context.input.arg(1))}`,
        body,
      ),
    };
  },
};

const show: Command = {
  name: 'resource provider inventory show',
  summary: 'Show one inventory of a host',
  example: 'node-1 VCPU',
  args: ['resource-provider', 'class'],
  run: async (context) => ({
    one: await read(context, `${await providerPath(context)}/inventories/${encodeURIComponent(context.input.arg(1))}`),
  }),
};

const projectUsage: Command = {
  name: 'resource usage show',
  summary: 'Show how much the servers of a project claim in all',
  example: 'demo',
  args: ['project'],
  options: { 'user-id': text('only the servers of this user', 'USER_ID') },
  async run(context) {
    const { api, input } = context;
    const user = input.text('user-id');
    const query = new URLSearchParams({
      project_id: await projectOf(api, input.arg(0)),
      ...(user === undefined ? {} : { user_id: user }),
    });
    return usageRows((await read(context, `/usages?${query.toString()}`))['usages']);
  },
};

export const commands: readonly Command[] = [
  partCommand('inventory list', 'List what a host has and how much of it is given out', async (context) =>
    inventoryRows(context, await providerPath(context)),
  ),
  show,
  set,
  setClass,
  partCommand('usage show', 'Show how much of a host is claimed', async (context) =>
    usageRows((await read(context, `${await providerPath(context)}/usages`))['usages']),
  ),
  projectUsage,
];
