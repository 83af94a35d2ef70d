// cumulet hypervisor, compute service and availability zone: what runs servers.
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError, HttpError } from '../errors';
import { str } from '../fields';
import { listCommand, showCommand } from '../noun';
import { hypervisor } from './resources';

const hypervisors: readonly Command[] = [
  listCommand(hypervisor, {
    columns: {
      ID: 'id',
      'Hypervisor Hostname': 'hypervisor_hostname',
      'Hypervisor Type': 'hypervisor_type',
      'Host IP': 'host_ip',
      State: 'state',
      Status: 'status',
    },
    long: { 'vCPUs Used': 'vcpus_used', vCPUs: 'vcpus', 'Memory MB Used': 'memory_mb_used', 'Memory MB': 'memory_mb' },
    filters: { matching: str('hypervisor_hostname_pattern', 'only those whose name has this in it') },
  }),
  showCommand(hypervisor, 'node-1'),
  {
    name: 'hypervisor stats show',
    summary: 'Show what all hosts have together (administrators)',
    example: '',
    run: async ({ api }) => ({
      one: (await api.json('compute', 'GET', '/os-hypervisors/statistics'))['hypervisor_statistics'] as Row,
    }),
  },
];

const SERVICE = { noun: 'compute service', service: 'compute', path: '/os-services', keys: 'services' } as const;

/** Takes a host's service out, or back in. @throws CliError when the host has no such service */
export async function setService(
  api: Context['api'],
  host: string,
  binary: string,
  disable: boolean,
  reason?: string,
): Promise<void> {
  const [found] = await api.list('compute', SERVICE.path, SERVICE.keys, { host, binary });
  if (!found) throw new CliError(`host "${host}" has no service "${binary}"`);
  const body = { status: disable ? 'disabled' : 'enabled', ...(disable && reason ? { disabled_reason: reason } : {}) };
  await api.json('compute', 'PUT', `${SERVICE.path}/${String(found['id'])}`, body);
}

const services: readonly Command[] = [
  listCommand(SERVICE, {
    columns: {
      ID: 'id',
      Binary: 'binary',
      Host: 'host',
      Zone: 'zone',
      Status: 'status',
      State: 'state',
      'Updated At': 'updated_at',
    },
    long: { 'Disabled Reason': 'disabled_reason' },
    filters: {
      host: str('host', 'only those of this host', 'HOST'),
      service: str('binary', 'only this service', 'SERVICE'),
    },
  }),
  {
    name: 'compute service set',
    summary: 'Take a host out of service for new servers, or back in (administrators)',
    example: '--disable --disable-reason "new memory" node-1 nova-compute',
    args: ['host', 'service'],
    options: {
      enable: flag('new servers may go there'),
      disable: flag('no new servers go there'),
      'disable-reason': text('why', 'TEXT'),
    },
    async run({ api, input }) {
      const [disable, reason] = [input.flag('disable'), input.text('disable-reason')];
      if (disable === input.flag('enable'))
        throw new CliError('compute service set needs either --enable or --disable', 2);
      if (reason !== undefined && !disable) throw new CliError('--disable-reason goes with --disable', 2);
      await setService(api, input.arg(0), input.arg(1), disable, reason);
      return undefined;
    },
  },
];

/** Zones of compute, with hosts for administrators; 403 tells that the caller is none. */
async function computeZones(api: Parameters<Command['run']>[0]['api'], long: boolean): Promise<Row[]> {
  const path = '/os-availability-zone';
  if (!long) return api.list('compute', path, 'availabilityZoneInfo');
  try {
    return await api.list('compute', `${path}/detail`, 'availabilityZoneInfo');
  } catch (error) {
    if (error instanceof HttpError && error.status === 403) return computeZones(api, false);
    throw error;
  }
}

const zones: Command = {
  name: 'availability zone list',
  summary: 'List where servers, networks and routers can be',
  example: '--compute',
  options: {
    compute: flag('zones of servers only'),
    network: flag('zones of networks and routers only'),
    long: flag('with hosts, for administrators'),
  },
  async run({ api, input }) {
    const long = input.flag('long');
    const both = input.flag('compute') === input.flag('network');
    const [compute, network] = await Promise.all([
      both || input.flag('compute') ? computeZones(api, long) : [],
      both || input.flag('network') ? api.list('network', '/availability_zones', 'availability_zones') : [],
    ]);
    const rows = [
      ...compute.map((row) => ({
        name: row['zoneName'],
        status: (row['zoneState'] as Row)['available'] === true ? 'available' : 'not available',
        resource: 'server',
        hosts: Object.keys((row['hosts'] ?? {}) as Row),
      })),
      ...network.map((row) => ({ name: row['name'], status: row['state'], resource: row['resource'], hosts: [] })),
    ];
    const columns = { 'Zone Name': 'name', 'Zone Status': 'status' };
    return { list: { columns: long ? { ...columns, 'Zone Resource': 'resource', Hosts: 'hosts' } : columns, rows } };
  },
};

export const commands: readonly Command[] = [...hypervisors, ...services, zones];
