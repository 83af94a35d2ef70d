// Commands of the distribution's client beside the story of a server, each as an administrator and as a member, with a simulated host.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { runOpenstack } from '../support/openstackClient';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';

jest.setTimeout(300_000);
type Who = 'admin' | 'member';
const PASSWORDS: Record<Who, string> = { admin: ADMIN_PASSWORD, member: 'member-secret' };
let cloud: IdentityCloud;
let directory: string;
const found: { host?: SimulatedHost } = {};

/** Runs the client. @throws with what it said when it fails */
async function openstack(who: Who, ...words: string[]): Promise<string> {
  const environment = {
    OS_AUTH_URL: cloud.test.url,
    OS_USERNAME: who,
    OS_PASSWORD: PASSWORDS[who],
    OS_PROJECT_NAME: who === 'admin' ? 'admin' : 'lab',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_IDENTITY_API_VERSION: '3',
  };
  return runOpenstack(words, environment);
}
/** A command whose output is asked for as JSON. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into output freely
const shown = async (who: Who, words: string): Promise<any> =>
  JSON.parse(await openstack(who, ...words.split(' '), '-f', 'json'));

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-commands-'));
  const bus = createMemoryBus();
  cloud = await startIdentity({ bus, host: () => found.host?.api, engine: { kinds: taskKinds, pollMs: 100 } });
  found.host = createSimulatedHost('node-1', bus, cloud.test.controller.agentApi);
  await found.host.start();
  const project = await cloud.project('lab');
  const person = await cloud.person('member');
  await cloud.grant('member', `projects/${project}`, `users/${person.id}`);
  const file = join(directory, 'tiny.raw');
  writeFileSync(file, Buffer.alloc(4096));
  const as = (who: Who, words: string): Promise<string> => openstack(who, ...words.split(' '));
  await as('admin', `image create --disk-format raw --container-format bare --file ${file} --public tiny`);
  await as('admin', 'flavor create --ram 128 --disk 1 --vcpus 1 m1.nano');
  await as('admin', 'network create --external public');
  await as('admin', 'subnet create --network public --subnet-range 172.24.4.0/24 --no-dhcp public');
  await as('member', 'network create demo');
  await as('member', 'subnet create --network demo --subnet-range 10.0.0.0/24 demo');
  await as('member', 'router create --external-gateway public way');
  await as('member', 'router add subnet way demo');
  await as('member', 'server create --image tiny --flavor m1.nano --network demo --wait hello');
});
afterAll(async () => {
  await found.host?.stop();
  await cloud?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What a command shows as JSON, or the words with which it is refused. */
type Seen = string | object;
const some = (...rows: object[]): object =>
  expect.arrayContaining(rows.map((row) => expect.objectContaining(row))) as object;
const FORBIDDEN = '403';

const COMMANDS: [string, Seen, Seen][] = [
  // compute
  ['availability zone list', some({ 'Zone Name': 'nova' }), some({ 'Zone Name': 'nova', 'Zone Status': 'available' })],
  [
    'quota show',
    { cores: 20, networks: 100, project_name: 'admin' },
    { cores: 20, networks: 100, project_name: 'lab' },
  ],
  ['limits show --absolute', some({ Name: 'totalCoresUsed', Value: 0 }), some({ Name: 'totalCoresUsed', Value: 1 })],
  ['hypervisor list', [{ 'Hypervisor Hostname': 'node-1', State: 'up' }], FORBIDDEN],
  ['hypervisor show node-1', { hypervisor_hostname: 'node-1', state: 'up' }, FORBIDDEN],
  ['compute service list', [{ Binary: 'nova-compute', Host: 'node-1', State: 'up' }], FORBIDDEN],
  ['usage list', some({ Servers: expect.anything() as object }), FORBIDDEN],
  ['usage show', { Project: '' }, { Servers: [{ name: 'hello', flavor: 'm1.nano' }] }],
  ['server list --all-projects', [{ Name: 'hello', Status: 'ACTIVE' }], FORBIDDEN],
  ['server show hello', 'No server with a name or ID', { name: 'hello', status: 'ACTIVE', key_name: null }],
  ['server event list hello', 'No server with a name or ID', [{ Action: 'create' }]],
  ['flavor list --all', [{ Name: 'm1.nano', RAM: 128 }], [{ Name: 'm1.nano', RAM: 128 }]],
  ['flavor show m1.nano', { name: 'm1.nano', access_project_ids: null }, { name: 'm1.nano', properties: {} }],
  ['keypair list', [], []],
  ['aggregate list', [], FORBIDDEN],
  ['server group list', [], []],
  // network
  ['extension list', some({ Alias: 'router' }, { Alias: 'security-group' }), some({ Alias: 'quotas' })],
  ['extension list --compute', [], []],
  ['network agent list', [{ Host: 'node-1', Alive: true, State: true }], []],
  ['network list --long', some({ Name: 'demo' }, { Name: 'public', 'Router Type': true }), some({ Name: 'demo' })],
  ['subnet list', some({ Name: 'public' }, { Name: 'demo' }), [{ Name: 'demo', Subnet: '10.0.0.0/24' }]],
  ['port list --server hello', 'No server', [{ Status: 'ACTIVE' }]],
  ['router show way', { name: 'way', status: 'ACTIVE' }, { external_gateway_info: { enable_snat: true } }],
  ['floating ip list', [], []],
  ['security group list', some({ Name: 'default' }), [{ Name: 'default' }]],
  ['security group rule list default', 'More than one', some({ Direction: 'ingress' }, { Direction: 'egress' })],
  ['ip availability list', some({ 'Network Name': 'demo', 'Used IPs': 3 }), []],
  ['network rbac list', some({ 'Object Type': 'network' }), []],
  [
    'network service provider list',
    some({ 'Service Type': 'L3_ROUTER_NAT' }),
    some({ 'Service Type': 'L3_ROUTER_NAT' }),
  ],
  ['network trunk list', 'exit code', 'exit code'],
  // image
  ['image list --long', [{ Name: 'tiny', Visibility: 'public' }], [{ Name: 'tiny', Status: 'active' }]],
  ['image show tiny', { name: 'tiny', size: 4096, status: 'active' }, { name: 'tiny', protected: false }],
  // identity
  [
    'versions show',
    some({ 'Service Type': 'image', Status: 'CURRENT' }),
    some({ Version: '2.1', 'Max Microversion': '2.96' }),
  ],
  ['endpoint list', some({ 'Service Type': 'network', Interface: 'public' }), FORBIDDEN],
  ['project list', some({ Name: 'admin' }, { Name: 'lab' }), [{ Name: 'lab' }]],
  ['user list', some({ Name: 'member' }), FORBIDDEN],
  ['role list', some({ Name: 'reader' }), FORBIDDEN],
  ['role assignment list --names', some({ Role: 'member', User: 'member@Default', Project: 'lab@Default' }), FORBIDDEN],
  ['volume list', 'exit code', 'exit code'],
];

/** The client crashed where its error is one of Python instead of words. */
const CRASH = /Traceback|object has no attribute|KeyError|TypeError|Expecting value|Unknown Error/;

test.each(COMMANDS)('%s', async (words, forAdmin, forMember) => {
  await Promise.all(
    (
      [
        ['admin', forAdmin],
        ['member', forMember],
      ] as [Who, Seen][]
    ).map(async ([who, seen]) => {
      if (typeof seen === 'string') {
        const said = await shown(who, words).then(
          (answer) => `answered ${JSON.stringify(answer)}`,
          (error: Error) => error.message,
        );
        expect(said).toContain(seen);
        expect(said).not.toMatch(CRASH);
      } else if (Array.isArray(seen) && seen.length === 0) expect([who, await shown(who, words)]).toEqual([who, []]);
      else if (Array.isArray(seen)) expect([who, await shown(who, words)]).toMatchObject([who, seen]);
      else if ('asymmetricMatch' in seen) expect([who, await shown(who, words)]).toEqual([who, seen]);
      else expect([who, await shown(who, words)]).toMatchObject([who, seen]);
    }),
  );
});

test('groups and floating IPs are put on a server and taken off it, and its addresses are read from it', async () => {
  const words = (line: string): Promise<string> => openstack('member', ...line.split(' '));
  await words('security group create web');
  await words('server add security group hello web');
  const { security_groups: groups } = await shown('member', 'server show hello');
  expect(groups).toHaveLength(2);
  expect(groups).toEqual(some({ name: 'default' }, { name: 'web' }));
  const { floating_ip_address: address } = await shown('member', 'floating ip create public');
  await words(`server add floating ip hello ${address as string}`);
  const [fixed, floating] = (await shown('member', 'server show hello')).addresses.demo;
  expect([fixed, floating]).toEqual([expect.stringMatching(/^10\.0\.0\./), address]);
  expect(await shown('member', 'floating ip list')).toMatchObject([
    { 'Floating IP Address': address, 'Fixed IP Address': fixed },
  ]);
  await words(`server remove floating ip hello ${address as string}`);
  await words(`floating ip delete ${address as string}`);
  await words('server remove security group hello web');
  await words('security group delete web');
  await words('network create far');
  await words('subnet create --network far --subnet-range 10.1.0.0/24 far');
  await words('server create --image tiny --flavor m1.nano --network far --wait lonely');
  const other = (await shown('member', 'floating ip create public')).floating_ip_address as string;
  // Without a router to the outside each port is tried, and the reason told.
  await expect(words(`server add floating ip lonely ${other}`)).rejects.toThrow(
    /ExternalGatewayForFloatingIPNotFound|not reachable/,
  );
  await words('server delete --wait lonely');
});
