// cumulet image, flavor, keypair, quota, limits, usage, hypervisor, compute service, zones, token, catalog, versions.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];
let file: string;

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
  file = join(all.directory, 'data');
  writeFileSync(file, Buffer.alloc(300_000, 7));
});
afterAll(() => all.stop());

const demo = { OS_CLOUD: 'demo' };

test('image', async () => {
  const made = await json(`image create --file ${file} --tag red --property os=linux --min-ram 64 --shared data`);
  expect(made).toMatchObject({ status: 'active', size: 300_000, tags: ['red'], os: 'linux', min_ram: 64 });
  const saved = join(all.directory, 'saved');
  await ok(`image save --file ${saved} data`);
  expect(readFileSync(saved).equals(readFileSync(file))).toBe(true);
  const nowhere = join(all.directory, 'nowhere', 'saved');
  expect(await fails(1, `image save --file ${nowhere} data`)).toMatch(
    /^image "data" could not be saved as \S+: ENOENT/,
  );
  await ok('image set --name data-1 --property os=bsd --property size_class=s --tag blue --protected data');
  expect(await json('image show data-1')).toMatchObject({ os: 'bsd', size_class: 's', protected: true });
  expect(await fails(1, 'image delete data-1')).toContain('HTTP 403');
  await ok('image set --unprotected data-1');
  await ok('image unset --tag red --property os data-1');
  const shown = await json('image show data-1');
  expect(shown.tags).toEqual(['blue']);
  expect(shown).not.toHaveProperty('os');
  expect(await fails(1, 'image unset --property os data-1')).toContain('HTTP 409');
  await ok('image set --deactivate data-1');
  expect(await json('image list --status deactivated --long')).toMatchObject([{ Name: 'data-1', Size: 300_000 }]);
  await ok('image set --activate data-1');

  await ok('image add project data-1 demo');
  expect(await json('image member list data-1')).toMatchObject([{ Status: 'pending' }]);
  expect((await all.run('image list -f value -c Name', demo)).out).not.toContain('data-1');
  expect(await all.run(`image set --accept ${made.id}`, demo)).toEqual({ exit: 0, out: '', err: '' });
  expect((await all.run('image list -f value -c Name', demo)).out).toContain('data-1');
  await ok('image remove project data-1 demo');
  expect(await all.run(`image show ${made.id}`, demo)).toMatchObject({ exit: 1, out: '' });
  expect(await json('image list --name data-1 --tag blue --property size_class=s')).toHaveLength(1);
  await ok('image delete data-1');
  expect(await fails(1, `image create --file ${file}.not x`)).toContain('could not be read: ENOENT');
  expect(await fails(1, `image create --file ${all.directory} x`)).toContain('it is no file');
  await ok('image create empty');
  expect(await fails(1, `image save --file ${file}-2 empty`)).toBe('image "empty" has no data yet');
  expect(await fails(1, 'image create --file ' + file + ' --disk-format qcow2 broken')).toMatch(
    /was made but its data was not taken: .*HTTP 415/,
  );
});

test('flavor', async () => {
  const made = await json('flavor create --vcpus 2 --ram 512 --disk 3 --property hw:cpu_policy=shared --private f1');
  expect(made).toMatchObject({ vcpus: 2, ram: 512, disk: 3, 'os-flavor-access:is_public': false });
  await ok('flavor set --property a:b=c --description small --project demo f1');
  expect(await json('flavor show f1')).toMatchObject({
    description: 'small',
    extra_specs: { 'hw:cpu_policy': 'shared', 'a:b': 'c' },
  });
  expect((await all.run('flavor show f1 -f value -c name', demo)).out).toBe('f1');
  await ok('flavor unset --property a:b --project demo f1');
  expect((await all.run('flavor show f1', demo)).exit).toBe(1);
  expect((await json('flavor show f1')).extra_specs).toEqual({ 'hw:cpu_policy': 'shared' });
  await ok('flavor set --no-property f1');
  expect((await json('flavor show f1')).extra_specs).toEqual({});
  expect(await json('flavor list --private')).toMatchObject([{ Name: 'f1' }]);
  expect(await json('flavor list --public --long --min-ram 100')).toMatchObject([{ Name: 'm1.tiny', Properties: {} }]);
  await ok('flavor delete f1');
  expect(await json('flavor create --id auto --rxtx-factor 2 --swap 64 f3')).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    rxtx_factor: 2,
    swap: 64,
  });
  expect(await json('flavor create --id chosen f4')).toMatchObject({ id: 'chosen', vcpus: 1, ram: 256, disk: 0 });
  expect(await fails(1, 'flavor create --rxtx-factor fast f5')).toContain('HTTP 400');
  await ok('flavor delete f3 f4');
  expect(await fails(2, 'flavor create --ram much f2')).toBe('--ram takes a whole number, not "much"');
  expect(await fails(1, 'flavor create --ram -5 f2')).toContain('HTTP 400');
});

test('keypair', async () => {
  const key = join(all.directory, 'key');
  expect(await json(`keypair create --private-key ${key} made`)).toMatchObject({ name: 'made', type: 'ssh' });
  expect(readFileSync(key, 'utf8')).toContain('PRIVATE KEY');
  expect(statSync(key).mode & 0o777).toBe(0o600);
  const publicKey = await ok('keypair show --public-key made');
  expect(publicKey).toMatch(/^ssh-rsa /);
  writeFileSync(`${key}.pub`, publicKey);
  await ok(`keypair create --public-key ${key}.pub brought`);
  expect(await json('keypair list --sort-column Name')).toMatchObject([{ Name: 'brought' }, { Name: 'made' }]);
  expect(await json('keypair show brought')).toMatchObject({ name: 'brought' });
  expect(await ok('keypair create printed')).toContain('PRIVATE KEY');
  expect(await fails(1, `keypair create --private-key ${key} again`)).toContain('so the pair was removed: EEXIST');
  expect(await fails(1, 'keypair show again')).toContain('no keypair is called "again"');
  expect(await fails(2, `keypair create --public-key ${key}.pub --private-key ${key} x`)).toContain(
    'leave --private-key',
  );
  expect(await fails(1, `keypair create --public-key ${key} x`)).toContain('HTTP 400');
  expect(await fails(1, `keypair create --public-key ${key}.not x`)).toContain(
    'the public key could not be read: ENOENT',
  );
  await ok('keypair delete made brought printed');
  expect(await fails(1, 'keypair delete made')).toContain('no keypair is called "made"');
});

test('quota, limits and usage', async () => {
  await ok('quota set --instances 7 --cores 9 --floating-ips 3 --networks 4 demo');
  expect(await json('quota show demo')).toMatchObject({ instances: 7, cores: 9, 'floating-ips': 3, networks: 4 });
  expect(await json('quota show --usage demo')).toContainEqual(
    expect.objectContaining({ Resource: 'instances', Limit: 7, 'In Use': 0 }),
  );
  expect(JSON.parse((await all.run('quota show -f json', demo)).out)).toMatchObject({ instances: 7 });
  await ok('quota delete demo');
  expect(await json('quota show --default demo')).toMatchObject({
    instances: (await json('quota show demo')).instances,
  });
  expect(await fails(2, 'quota set demo')).toBe('quota set needs at least one limit');
  expect(await fails(2, 'quota set --cores all demo')).toContain('whole number');
  expect(await fails(1, 'quota show nobody')).toContain('no project is called "nobody"');
  expect(await fails(1, 'quota delete nobody')).toContain('no project is called "nobody"');
  expect(await fails(2, 'quota show --default --usage demo')).toContain('exclude each other');

  expect(await json('limits show --absolute')).toContainEqual({ Name: 'maxTotalInstances', Value: expect.any(Number) });
  expect(await json('limits show --absolute --project demo')).not.toHaveLength(0);
  expect(await json('limits show --rate')).toEqual([]);
  expect(await fails(1, 'limits show --project nobody')).toContain('no project is called "nobody"');

  await ok('server create --image tiny --flavor m1.tiny --network demo --wait used');
  expect(await json('usage show')).toMatchObject({ Servers: 1 });
  expect(await json('usage show --project demo --start 2026-01-01 --end 2026-02-01')).toMatchObject({ Servers: 0 });
  expect(await json('usage list')).toMatchObject([{ Servers: 1 }]);
  expect(await fails(2, 'usage show --start yesterday')).toBe('"yesterday" is no date; write 2026-01-31');
  expect(await fails(2, 'usage list --end never')).toContain('is no date');
  await ok('server delete --wait used');
});

test('hosts, services and zones', async () => {
  expect(await json('hypervisor list --long')).toMatchObject([
    { 'Hypervisor Hostname': 'node-1', State: 'up', vCPUs: 64 },
  ]);
  expect(await json('hypervisor show node-1')).toMatchObject({ hypervisor_hostname: 'node-1' });
  expect(await json('hypervisor list --matching node')).toHaveLength(1);
  expect(await json('hypervisor stats show')).toMatchObject({ count: 1, vcpus: 64 });
  expect(await fails(1, 'hypervisor show node-2')).toBe('no hypervisor is called "node-2": did you mean "node-1"?');
  await ok('compute service set --disable --disable-reason "new memory" node-1 nova-compute');
  expect(await json('compute service list --long --host node-1')).toMatchObject([
    { Status: 'disabled', 'Disabled Reason': 'new memory' },
  ]);
  await ok('compute service set --enable node-1 nova-compute');
  expect(await json('compute service list')).toMatchObject([{ Host: 'node-1', Status: 'enabled', State: 'up' }]);
  expect(await fails(2, 'compute service set node-1 nova-compute')).toContain('either --enable or --disable');
  expect(await fails(2, 'compute service set --enable --disable-reason x node-1 nova-compute')).toContain('goes with');
  expect(await fails(1, 'compute service set --enable node-2 nova-compute')).toContain('host "node-2" has no service');
  expect(await json('availability zone list --compute --long')).toContainEqual(
    expect.objectContaining({ 'Zone Name': 'nova', Hosts: ['node-1'] }),
  );
  expect((await all.run('availability zone list --long -f value', demo)).out).toContain('nova available server');
  expect(await json('availability zone list --network --long')).toContainEqual(
    expect.objectContaining({ 'Zone Resource': 'network' }),
  );
});

test('token, catalog and versions', async () => {
  const { id } = await json('token issue');
  const env = { OS_AUTH_URL: all.cloud.test.url, OS_TOKEN: id, OS_PROJECT_NAME: 'admin' };
  expect((await all.run('network list -f value -c Name', env)).out).toBe('demo');
  await ok(`token revoke ${id}`);
  expect((await all.run('network list', env)).err).toMatch(/refused the token: .*HTTP 401/);
  expect(await fails(1, `token revoke ${id}`)).toContain('HTTP 404');
  const types = (await json('catalog list')).map(({ Type }: { Type: string }) => Type).sort();
  expect(types).toEqual(['compute', 'identity', 'image', 'network', 'placement']);
  expect((await json('catalog show compute')).endpoints).toHaveLength(3);
  expect(await fails(1, 'catalog show compte')).toBe('the catalog has no service "compte": did you mean "compute"?');
  const versions = await json('versions show');
  expect(versions).toContainEqual(
    expect.objectContaining({ 'Service Type': 'compute', Version: 'v2.1', 'Min Microversion': '2.1' }),
  );
  expect(versions).toContainEqual(
    expect.objectContaining({
      'Service Type': 'placement',
      Endpoint: `${all.cloud.test.url}/placement/`,
      'Max Microversion': '1.39',
    }),
  );
  expect(new Set(versions.map((row: Record<string, string>) => row['Service Type']))).toEqual(new Set(types));
  expect(await json('versions show --service identity --status stable')).toHaveLength(1);
  expect(await fails(1, 'versions show --service ident')).toContain('the catalog has no service "ident"');
});

test('other scopes, endpoints and microversions are asked for by options', async () => {
  const url = `--os-cloud test --os-auth-url ${all.cloud.test.url}/identity/v3`;
  expect(await json(`${url} token issue --os-system-scope all`)).not.toHaveProperty('project_id');
  await ok('role add --user admin --domain Default admin');
  expect(await json('token issue --os-domain-id default')).toMatchObject({ domain_id: 'default' });
  expect(await json('server list --os-interface internal')).toEqual([]);
  expect(await fails(1, 'server list --os-region-name Mars')).toContain('in region Mars');
  expect(await fails(1, 'server list --os-compute-api-version 9.9')).toContain('HTTP 406');
  expect(await fails(1, 'server list --os-auth-url ftp://x')).toContain('neither http: nor https:');
  mkdirSync(join(all.directory, 'empty'));
  expect(await fails(1, `server list --os-cacert ${join(all.directory, 'empty')}`)).toContain('could not be read');
});

test('every command was seen to succeed', () => {
  const words = ['image', 'flavor', 'keypair', 'quota', 'limits', 'usage', 'hypervisor', 'compute', 'availability'];
  expect(all.untried(...words, 'token', 'catalog', 'versions')).toEqual(['image add']);
});

describe('bad input', () => {
  test.each([
    ...['image', 'flavor'].flatMap((noun) =>
      ['show', 'delete', 'set --property a=b', 'unset --property a'].map(
        (verb) => [1, `${noun} ${verb} nobody`] as const,
      ),
    ),
    [1, 'image save --file x nobody'],
    [1, 'image add project nobody demo'],
    [1, 'image remove project nobody demo'],
    [1, 'image member list nobody'],
    [2, 'image save tiny'],
    [2, 'image set tiny'],
    [2, 'image create --property nonsense x'],
    [2, 'flavor set m1.tiny'],
    [2, 'keypair list --nonsense'],
    [2, 'hypervisor stats show --nonsense'],
    [2, 'availability zone list --zone'],
    [2, 'token issue now'],
    [2, 'catalog list now'],
  ] as const)('ends with %i: %s', async (exit, line) =>
    expect(await fails(exit, line)).toMatch(/is called|needs|KEY=VALUE|has no option|does not take/),
  );
});
