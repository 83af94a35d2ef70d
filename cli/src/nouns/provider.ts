// cumulet resource provider and allocation candidate: hosts as the placement API shows them, and where there is room.
import type { Api } from '../api';
import { text, type Command, type Context, type Option, type Options, type Result, type Row } from '../command';
import { CliError } from '../errors';
import { said, str } from '../fields';
import { deleteCommand, listCommand, showCommand } from '../noun';
import { find, idFor } from '../resource';
import { aggregate, provider } from './resources';

/** Rows whose columns are called as their fields are. */
export const rowsWith = (columns: readonly string[], rows: readonly Row[]): Result => ({
  list: { columns: Object.fromEntries(columns.map((name) => [name, name])), rows },
});

const repeated = (help: string, value: string, more: Partial<Option> = {}): Option =>
  text(`${help}; may be repeated`, value, { multiple: true, ...more });

/** CLASS=AMOUNT as the API writes it. @throws CliError with status 2 */
function amount(given: string): string {
  if (!/^[^=:]+=\d+$/.test(given)) throw new CliError(`--resource takes CLASS=AMOUNT, not "${given}"`, 2);
  return given.replace('=', ':');
}

/** Traits are one field, whether they must be there or must not. */
const traits = (help: string, mark: '' | '!'): Option =>
  repeated(help, 'TRAIT', {
    read: (name) => mark + name,
    put: (values, { required }) => ({ required: (required === undefined ? values : [required, ...values]).join(',') }),
  });

/** What a host must have. */
const wanted: Options = {
  resource: repeated('amount that it must have room for', 'CLASS=AMOUNT', {
    read: amount,
    put: (values) => ({ resources: values.join(',') }),
  }),
  required: traits('trait that it must have', ''),
  forbidden: traits('trait that it must not have', '!'),
};

/** The path of the provider that the first argument names. */
export const providerPath = async ({ api, input }: Context): Promise<string> =>
  `${provider.path}/${await idFor(api, provider, input.arg(0))}`;

/** A command that shows a part of a provider. */
export const partCommand = (name: string, summary: string, run: Command['run']): Command => ({
  name: `resource provider ${name}`,
  summary,
  example: 'node-1',
  args: ['resource-provider'],
  run,
});

/** Values as rows of one column. */
const column = (name: string, values: unknown): Result =>
  rowsWith(
    [name],
    (values as readonly string[]).map((value) => ({ [name]: value })),
  );

/** A list of values that a provider has. */
const listPart = (noun: 'trait' | 'aggregate', summary: string, title: string): Command =>
  partCommand(`${noun} list`, summary, async (context) => {
    const path = `${await providerPath(context)}/${noun}s`;
    return column(title, (await context.api.json('placement', 'GET', path))[`${noun}s`]);
  });

/** Replaces such a list, with the generation at which the provider is seen. */
async function replace(
  api: Api,
  name: string,
  key: 'traits' | 'aggregates',
  values: readonly string[],
): Promise<unknown> {
  const { uuid, generation } = await find(api, provider, name);
  const body = { [key]: values, resource_provider_generation: generation };
  return (await api.json('placement', 'PUT', `${provider.path}/${String(uuid)}/${key}`, body))[key];
}

const traitCommands: readonly Command[] = [
  listPart('trait', 'List the traits of a host', 'name'),
  {
    ...partCommand('trait set', 'Replace the traits that administrators gave a host', async ({ api, input }) =>
      column('name', await replace(api, input.arg(0), 'traits', input.all('trait'))),
    ),
    example: '--trait CUSTOM_FAST --trait STORAGE_DISK_SSD node-1',
    options: { trait: repeated('a trait', 'TRAIT') },
  },
  partCommand('trait delete', 'Take away all traits that administrators gave a host', async (context) => {
    await context.api.json('placement', 'DELETE', `${await providerPath(context)}/traits`);
    return undefined;
  }),
];

const aggregateCommands: readonly Command[] = [
  listPart('aggregate', 'List the aggregates of a host', 'uuid'),
  {
    ...partCommand(
      'aggregate set',
      'Put a host into these aggregates and out of all others',
      async ({ api, input }) => {
        const found = await Promise.all(input.all('aggregate').map((name) => find(api, aggregate, name)));
        const uuids = found.map(({ uuid }) => String(uuid));
        return column('uuid', await replace(api, input.arg(0), 'aggregates', uuids));
      },
    ),
    example: '--aggregate fast node-1',
    options: { aggregate: repeated('an aggregate', 'AGGREGATE') },
  },
];

const showAllocation: Command = {
  name: 'resource provider allocation show',
  summary: 'Show what a server claims, and of which host',
  example: '5f4a8a0e-0f6e-4d0c-8a0c-2d2f0b1c9a11',
  args: ['server-id'],
  async run({ api, input }) {
    const found = await api.json('placement', 'GET', `/allocations/${encodeURIComponent(input.arg(0))}`);
    const { project_id, user_id } = found;
    const claims = Object.entries(found['allocations'] as Record<string, Row>);
    return rowsWith(
      ['resource_provider', 'generation', 'resources', 'project_id', 'user_id'],
      claims.map(([resource_provider, claim]) => ({ resource_provider, ...claim, project_id, user_id })),
    );
  },
};

interface Summary {
  readonly resources: Readonly<Record<string, { readonly used: number; readonly capacity: number }>>;
  readonly traits: readonly string[];
}
interface Candidates {
  readonly allocation_requests: readonly { readonly allocations: Readonly<Record<string, { resources: Row }>> }[];
  readonly provider_summaries: Readonly<Record<string, Summary | undefined>>;
}

/** "VCPU=1,MEMORY_MB=512". */
const joined = (entries: readonly (readonly [string, unknown])[]): string =>
  entries.map(([name, value]) => `${name}=${String(value)}`).join(',');

const candidateRows = ({ allocation_requests, provider_summaries }: Candidates): Row[] =>
  allocation_requests.flatMap(({ allocations }, at) =>
    Object.entries(allocations).map(([id, { resources }]) => {
      const rooms = Object.entries(provider_summaries[id]?.resources ?? {});
      return {
        '#': at + 1,
        allocation: joined(Object.entries(resources)),
        'resource provider': id,
        'inventory used/capacity': joined(rooms.map(([name, room]) => [name, `${room.used}/${room.capacity}`])),
        traits: provider_summaries[id]?.traits.join(','),
      };
    }),
  );

const candidateOptions: Options = {
  ...wanted,
  resource: { ...wanted['resource'], required: true } as Option,
  limit: str('limit', 'only so many', 'COUNT'),
};

const listCandidates: Command = {
  name: 'allocation candidate list',
  summary: 'List the hosts that have room for something now',
  example: '--resource VCPU=2 --resource MEMORY_MB=2048 --required CUSTOM_FAST',
  options: candidateOptions,
  async run(context) {
    const asked = (await said(context, candidateOptions)) as Record<string, string>;
    const search = new URLSearchParams(asked).toString();
    const found = await context.api.json('placement', 'GET', `/allocation_candidates?${search}`);
    return rowsWith(
      ['#', 'allocation', 'resource provider', 'inventory used/capacity', 'traits'],
      candidateRows(found as unknown as Candidates),
    );
  },
};

const columns = ['uuid', 'name', 'generation', 'root_provider_uuid', 'parent_provider_uuid'];

export const commands: readonly Command[] = [
  listCommand(provider, {
    columns: Object.fromEntries(columns.map((name) => [name, name])),
    filters: {
      name: str('name', 'only this one', 'NAME'),
      uuid: str('uuid', 'only this one', 'UUID'),
      'member-of': repeated('only those in this aggregate', 'AGGREGATE', {
        read: async (name, { api }) => (await find(api, aggregate, name))['uuid'],
        put: (member_of) => ({ member_of }),
      }),
      ...wanted,
    },
  }),
  showCommand(provider, 'node-1'),
  deleteCommand(provider, 'node-1'),
  ...traitCommands,
  ...aggregateCommands,
  showAllocation,
  listCandidates,
];
