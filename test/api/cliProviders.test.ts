// cumulet resource provider, trait, resource class and allocation candidate, against a cloud with a simulated host.
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];
beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
});
afterAll(() => all.stop());

test('providers are listed, filtered and shown by name', async () => {
  const [node] = await json('resource provider list');
  expect(node).toMatchObject({ name: 'node-1', parent_provider_uuid: null });
  expect(
    await json('resource provider list --resource VCPU=1 --resource DISK_GB=1 --forbidden HW_CPU_X86_SGX'),
  ).toEqual([node]);
  expect(await json('resource provider list --required HW_CPU_X86_SGX --name node-1')).toEqual([]);
  expect(await fails(2, 'resource provider list --resource VCPU')).toContain('CLASS=AMOUNT, not "VCPU"');
  expect(await fails(1, 'resource provider list --required HW_NONE')).toContain(
    'No such trait(s): HW_NONE. (HTTP 400)',
  );
  expect(await json('resource provider show node-1')).toEqual(node);
  expect(await fails(1, 'resource provider show node-2')).toContain('did you mean "node-1"');
});

test('a trait is made, given to the host, asked for by a flavor and taken away', async () => {
  await ok('trait create CUSTOM_FAST');
  expect(await json('trait list --name startswith:CUSTOM_')).toEqual([{ name: 'CUSTOM_FAST' }]);
  const found = [{ name: 'COMPUTE_NODE' }, { name: 'HW_ARCH_X86_64' }];
  expect(await json('trait list --associated')).toEqual(found);
  expect(await json('trait show CUSTOM_FAST')).toEqual({ name: 'CUSTOM_FAST' });
  expect(await fails(1, 'trait create FAST')).toContain('must begin with "CUSTOM_"');
  await ok('flavor create --ram 128 --vcpus 1 --disk 1 --property trait:CUSTOM_FAST=required fast');
  const explain = async () => (await all.run('server explain --flavor fast -f json')).out;
  expect(JSON.parse(await explain())).toMatchObject([
    { Fits: false, Rule: 'traits', Reason: 'lacks trait CUSTOM_FAST' },
  ]);
  const withFast = [found[0], { name: 'CUSTOM_FAST' }, found[1]];
  expect(await json('resource provider trait set --trait CUSTOM_FAST node-1')).toEqual(withFast);
  expect(await json('resource provider trait list node-1')).toEqual(withFast);
  expect(JSON.parse(await explain())).toMatchObject([{ Host: 'node-1', Fits: true }]);
  expect(await fails(1, 'trait delete CUSTOM_FAST')).toContain('in use: the host node-1 has it');
  await ok('resource provider trait delete node-1');
  await ok('trait delete CUSTOM_FAST');
  expect(await fails(1, 'trait show CUSTOM_FAST')).toContain('CUSTOM_FAST');
  await ok('flavor delete fast');
});

test('inventories are listed and amended', async () => {
  const vcpus = async () =>
    (await json('resource provider inventory list node-1')).find(
      (row: { resource_class: string }) => row.resource_class === 'VCPU',
    );
  expect(await vcpus()).toMatchObject({ total: 64, allocation_ratio: 8, reserved: 0, used: 0 });
  const set = 'resource provider inventory set --resource VCPU:allocation_ratio=2.5 --resource VCPU:reserved=4';
  await ok(`${set} --amend node-1`);
  expect(await vcpus()).toMatchObject({ total: 64, allocation_ratio: 2.5, reserved: 4 });
  expect(await fails(1, 'resource provider inventory set --resource VCPU=64 node-1')).toContain(
    'delete the inventory of MEMORY_MB and DISK_GB',
  );
  const change = 'resource provider inventory class set --total 64 --allocation-ratio 3 node-1 VCPU';
  expect(await json(change)).toMatchObject({ allocation_ratio: 3, reserved: 0, total: 64 });
  expect(await json('resource provider inventory show node-1 VCPU')).toMatchObject({ allocation_ratio: 3, total: 64 });
  expect(await fails(2, 'resource provider inventory class set --total many node-1 VCPU')).toContain('takes a number');
  expect(await fails(2, 'resource provider inventory class set node-1 VCPU')).toContain('--total');
  for (const wrong of ['VCPU', 'VCPU:colour=1', 'VCPU:reserved=many'])
    expect(await fails(2, `resource provider inventory set --resource ${wrong} node-1`)).toContain('CLASS:FIELD=VALUE');
});

test('claims of a server are shown by host, server and project', async () => {
  const { id } = await json('server create --image tiny --flavor m1.tiny --network none --wait there');
  expect(await json('resource provider usage show node-1')).toContainEqual({ resource_class: 'VCPU', usage: 1 });
  const [claim] = await json(`resource provider allocation show ${id}`);
  expect(claim.resources).toEqual({ VCPU: 1, MEMORY_MB: 128, DISK_GB: 1 });
  expect(await json('resource usage show admin')).toContainEqual({ resource_class: 'MEMORY_MB', usage: 128 });
  expect(await json(`resource usage show --user-id ${claim.user_id} admin`)).toHaveLength(3);
  expect(await json('resource usage show --user-id nobody admin')).toEqual([]);
  const [candidate] = await json('allocation candidate list --resource VCPU=2 --limit 1');
  expect(candidate).toMatchObject({ '#': 1, allocation: 'VCPU=2', 'resource provider': claim.resource_provider });
  expect(candidate['inventory used/capacity']).toContain('VCPU=1/');
  expect(await fails(2, 'allocation candidate list')).toContain('--resource');
  expect(await fails(1, 'resource provider delete node-1')).toContain('Unable to delete');
  await ok('server delete --wait there');
});

test('aggregates are set by name', async () => {
  await ok('aggregate create fast');
  expect(await json('resource provider aggregate set --aggregate fast node-1')).toHaveLength(1);
  expect(await json('aggregate show fast')).toMatchObject({ hosts: ['node-1'] });
  expect(await json('resource provider aggregate list node-1')).toHaveLength(1);
  expect(await json('resource provider list --member-of fast')).toHaveLength(1);
  expect(await json('resource provider aggregate set node-1')).toEqual([]);
  await ok('aggregate delete fast');
});

test('resource classes are made, shown and deleted', async () => {
  await ok('resource class create CUSTOM_GOLD');
  await ok('resource class set CUSTOM_GOLD');
  expect(await json('resource class list')).toContainEqual({ name: 'CUSTOM_GOLD' });
  expect(await json('resource class show CUSTOM_GOLD')).toEqual({ name: 'CUSTOM_GOLD' });
  expect(await fails(1, 'resource class create CUSTOM_GOLD')).toContain('already exists');
  await ok('resource class delete CUSTOM_GOLD');
});

test('a host that has nothing left can be forgotten', async () => {
  await all.host.stop();
  await ok('resource provider delete node-1');
  expect(await json('resource provider list')).toEqual([]);
});

test('every command of these nouns was run with success', () => {
  expect(all.untried('resource', 'allocation', 'trait')).toEqual([]);
});
