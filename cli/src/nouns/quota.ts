// cumulet quota, limits and usage: how much a project may have and has.
import { flag, text, type Command, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { int, said, str } from '../fields';
import { projectOf } from './resources';

/** Option, and what the service calls it. */
const COMPUTE: Readonly<Record<string, string>> = {
  cores: 'cores',
  instances: 'instances',
  ram: 'ram',
  'key-pairs': 'key_pairs',
  properties: 'metadata_items',
  'server-groups': 'server_groups',
  'server-group-members': 'server_group_members',
};
const NETWORK: Readonly<Record<string, string>> = {
  networks: 'network',
  subnets: 'subnet',
  subnetpools: 'subnetpool',
  ports: 'port',
  routers: 'router',
  'floating-ips': 'floatingip',
  secgroups: 'security_group',
  'secgroup-rules': 'security_group_rule',
  'rbac-policies': 'rbac_policy',
};
const options = (names: Readonly<Record<string, string>>): Options =>
  Object.fromEntries(
    Object.entries(names).map(([option, key]) => [option, int(key, `most ${option.replaceAll('-', ' ')}; -1: any`)]),
  );
const [computeOptions, networkOptions] = [options(COMPUTE), options(NETWORK)];

const named = (quota: Row, names: Readonly<Record<string, string>>): [string, unknown][] =>
  Object.entries(names).flatMap(([option, key]) => (quota[key] === undefined ? [] : [[option, quota[key]]]));

const quotaCommands: readonly Command[] = [
  {
    name: 'quota show',
    summary: 'Show how much a project may have; your own unless you name one',
    example: 'demo',
    args: ['[project]'],
    options: { default: flag('what projects have unless said'), usage: flag('also what it has now') },
    async run({ api, input }) {
      const id = await projectOf(api, input.args[0]);
      const [defaults, usage] = [input.flag('default'), input.flag('usage')];
      if (defaults && usage) throw new CliError('--default and --usage exclude each other', 2);
      const tails = defaults ? ['/defaults', '/default'] : usage ? ['/detail', '/details'] : ['', ''];
      const [compute, network] = await Promise.all([
        api.json('compute', 'GET', `/os-quota-sets/${id}${tails[0] ?? ''}`),
        api.json('network', 'GET', `/quotas/${id}${tails[1] ?? ''}`),
      ]);
      const all = [...named(compute['quota_set'] as Row, COMPUTE), ...named(network['quota'] as Row, NETWORK)];
      if (!usage) return { one: { ...Object.fromEntries(all), project: id } };
      const rows = all.map(([resource, value]) => ({ resource, ...(value as Row) }));
      const inUse = (row: Row): unknown => row['in_use'] ?? row['used'];
      return {
        list: { columns: { Resource: 'resource', Limit: 'limit', 'In Use': inUse, Reserved: 'reserved' }, rows },
      };
    },
  },
  {
    name: 'quota set',
    summary: 'Say how much a project may have (administrators)',
    example: '--instances 20 --floating-ips 5 demo',
    args: ['project'],
    options: { ...computeOptions, ...networkOptions, force: flag('also less than it has') },
    async run(context) {
      const { api, input } = context;
      const [quota_set, quota] = await Promise.all([said(context, computeOptions), said(context, networkOptions)]);
      const [ofCompute, ofNetwork] = [Object.keys(quota_set).length > 0, Object.keys(quota).length > 0];
      if (!ofCompute && !ofNetwork) throw new CliError('quota set needs at least one limit', 2);
      const id = await projectOf(api, input.arg(0));
      const force = input.flag('force') ? { force: true } : {};
      if (ofCompute)
        await api.json('compute', 'PUT', `/os-quota-sets/${id}`, { quota_set: { ...quota_set, ...force } });
      if (ofNetwork) await api.json('network', 'PUT', `/quotas/${id}`, { quota });
      return undefined;
    },
  },
  {
    name: 'quota delete',
    summary: 'Let a project have what projects have unless said (administrators)',
    example: 'demo',
    args: ['project'],
    async run({ api, input }) {
      const id = await projectOf(api, input.arg(0));
      await api.json('compute', 'DELETE', `/os-quota-sets/${id}`);
      await api.json('network', 'DELETE', `/quotas/${id}`);
      return undefined;
    },
  },
];

const limits: Command = {
  name: 'limits show',
  summary: 'Show the limits of a project and what it uses',
  example: '--absolute',
  options: {
    absolute: flag('numbers of things (unless said)'),
    rate: flag('numbers of requests'),
    reserved: flag('count what is reserved too'),
    project: text('another project (administrators)', 'PROJECT'),
  },
  async run({ api, input }) {
    const name = input.text('project');
    const query = new URLSearchParams({
      ...(name === undefined ? {} : { tenant_id: await projectOf(api, name) }),
      ...(input.flag('reserved') ? { reserved: '1' } : {}),
    }).toString();
    const body = await api.json('compute', 'GET', `/limits${query === '' ? '' : `?${query}`}`);
    const { absolute, rate } = body['limits'] as { absolute: Row; rate: Row[] };
    if (input.flag('rate')) return { list: { columns: { Verb: 'verb', URI: 'uri', Value: 'value' }, rows: rate } };
    const rows = Object.entries(absolute).map(([name, value]) => ({ name, value }));
    return { list: { columns: { Name: 'name', Value: 'value' }, rows } };
  },
};

const DAY = 86_400_000;
const period: Options = {
  start: str('start', 'first day, as 2026-01-31; four weeks ago unless said', 'DATE'),
  end: str('end', 'last day; tomorrow unless said', 'DATE'),
};

/** The query of a period. @throws CliError with status 2 for what is no date */
function periodQuery(given: Row): string {
  const day = (text: unknown, offset: number): string => {
    const time = typeof text === 'string' ? Date.parse(text) : Date.now() + offset;
    if (Number.isNaN(time)) throw new CliError(`"${text as string}" is no date; write 2026-01-31`, 2);
    return new Date(time).toISOString().slice(0, 10);
  };
  return new URLSearchParams({
    start: `${day(given['start'], -28 * DAY)}T00:00:00`,
    end: `${day(given['end'], DAY)}T00:00:00`,
  }).toString();
}

const hours =
  (field: string) =>
  (row: Row): number =>
    Math.round(Number(row[field] ?? 0) * 100) / 100;
const used = {
  Servers: (row: Row): number => ((row['server_usages'] ?? []) as unknown[]).length,
  'RAM MB-Hours': hours('total_memory_mb_usage'),
  'CPU Hours': hours('total_vcpus_usage'),
  'Disk GB-Hours': hours('total_local_gb_usage'),
};

const usageCommands: readonly Command[] = [
  {
    name: 'usage show',
    summary: 'Show what a project used; your own unless you name one',
    example: '--project demo --start 2026-01-01',
    options: { project: text('the project', 'PROJECT'), ...period },
    async run(context) {
      const { api, input } = context;
      const query = periodQuery(await said(context, period));
      const id = await projectOf(api, input.text('project'));
      const body = await api.json('compute', 'GET', `/os-simple-tenant-usage/${id}?${query}`);
      const usage = body['tenant_usage'] as Row;
      const shown = Object.entries(used).map(([title, of]): [string, number] => [title, of(usage)]);
      return { one: { Project: id, ...Object.fromEntries(shown) } };
    },
  },
  {
    name: 'usage list',
    summary: 'List what every project used (administrators)',
    example: '--start 2026-01-01',
    options: period,
    async run(context) {
      const query = periodQuery(await said(context, period));
      const path = `/os-simple-tenant-usage?detailed=1&${query}`;
      const rows = (await context.api.json('compute', 'GET', path))['tenant_usages'] as Row[];
      return { list: { columns: { Project: 'tenant_id', ...used }, rows } };
    },
  },
];

export const commands: readonly Command[] = [...quotaCommands, limits, ...usageCommands];
