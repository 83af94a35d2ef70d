// Fills a database with servers as creates would have left them, without hosts.
import {
  networks,
  portAddresses,
  ports,
  servers,
  type Cloud,
  type InsertRow,
  type WriteSession,
} from '@cumulet/controller';

const PROJECT = 'bench';

function server(id: string, at: number, host: string): InsertRow<typeof servers> {
  const flavor = {
    id: 'nano',
    name: 'm1.nano',
    vcpus: 1,
    ram: 128,
    disk: 1,
    ephemeral: 0,
    swap: 0,
    rxtx_factor: 1,
    extra_specs: {},
  };
  const image = {
    id: 'image',
    name: 'tiny',
    digest: '0'.repeat(128),
    format: 'qcow2',
    size: 1,
    virtual_size: 1,
    min_disk: 0,
    min_ram: 0,
    properties: {},
  };
  return {
    id,
    project_id: PROJECT,
    user_id: 'u',
    creator: { user_name: 'bench', project_name: 'bench', roles: [] },
    name: `server-${at}`,
    description: null,
    hostname: `server-${at}`,
    host,
    availability_zone: null,
    requested_host: null,
    flavor,
    image_id: 'image',
    image,
    key_name: null,
    key: null,
    user_data: null,
    config_drive: false,
    personality: [],
    metadata: { role: 'bench' },
    security_groups: ['default'],
    scheduler_hints: {},
    server_group_id: null,
    access_ip_v4: '',
    access_ip_v6: '',
    disk_config: 'MANUAL',
    root_device_name: '/dev/vda',
    vm_state: 'active',
    task_state: null,
    power_state: 1,
    generation: 1,
    disk_revision: 1,
    locked: false,
    locked_by: null,
    locked_reason: null,
    fault: null,
    reservation_id: 'r',
    launch_index: 0,
    launched_at: at,
    terminated_at: null,
    created_at: at,
    updated_at: at,
    deleted_at: null,
  };
}

/** Networks of the benchmark; they are made once. */
async function fillNetworks(session: WriteSession, count: number, newId: () => string): Promise<string[]> {
  const there = await session.find(networks, { where: { project_id: PROJECT, name: 'bench' } });
  if (there.length > 0) return there.map(({ id }) => id);
  const rows = Array.from({ length: count }, (_, at) => ({
    id: newId(),
    project_id: PROJECT,
    name: 'bench',
    description: '',
    created_at: 0,
    updated_at: 0,
    revision: 0,
    admin_state_up: true,
    status: 'ACTIVE',
    mtu: 1450,
    port_security_enabled: true,
    network_type: 'vxlan',
    physical_network: null,
    segmentation_id: at + 1,
    dns_domain: '',
    external: false,
    availability_zone_hints: [],
  }));
  await session.insert(networks, rows);
  return rows.map(({ id }) => id);
}

/** Adds servers, each with a port and an address, until there are `total`, on these many hosts and networks in turn. */
export async function fillServers(
  cloud: Cloud,
  total: number,
  newId: () => string,
  { hosts, networks: spread }: { readonly hosts: number; readonly networks: number } = { hosts: 1, networks: 1 },
): Promise<void> {
  const there = await cloud.db.read((session) => session.count(servers));
  const rows = Array.from({ length: total - there }, (_, at) =>
    server(newId(), 1_790_000_000_000 + there + at, `node-${(at % hosts) + 1}`),
  );
  await cloud.db.write(async (session) => {
    const networkIds = await fillNetworks(session, spread, newId);
    const portRows = rows.map((row, at) => ({
      id: newId(),
      project_id: PROJECT,
      name: '',
      description: '',
      created_at: row.created_at,
      updated_at: row.created_at,
      revision: 0,
      network_id: networkIds[at % spread] ?? '',
      admin_state_up: true,
      mac_address: `fa:16:3e:${[16, 8, 0].map((by) => (((there + at) >> by) & 255).toString(16).padStart(2, '0')).join(':')}`,
      status: 'ACTIVE',
      device_id: row.id,
      device_owner: 'compute:nova',
      host: row.host ?? '',
      migrating_to: '',
      generation: 1,
      fault: null,
      made_for_server: true,
      server_id: row.id,
      device_tag: null,
      device_position: 0,
      port_security_enabled: true,
      allowed_address_pairs: [],
      extra_dhcp_opts: [],
      dns_name: '',
      profile: {},
      vnic_type: 'normal',
    }));
    await session.insert(servers, rows);
    await session.insert(ports, portRows);
    await session.insert(
      portAddresses,
      portRows.map((port, at) => ({
        port_id: port.id,
        network_id: port.network_id,
        subnet_id: 'subnet',
        address: `10.${((there + at) >> 16) & 255}.${((there + at) >> 8) & 255}.${(there + at) & 255}`,
        position: 0,
      })),
    );
  });
}
