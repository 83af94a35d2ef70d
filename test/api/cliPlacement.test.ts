// cumulet aggregate, server group, server explain and hints, against a cloud with a simulated host.
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

test('an aggregate is made, filled, changed and deleted', async () => {
  expect(await json('aggregate create --zone lab --property ssd=true fast')).toMatchObject({
    name: 'fast',
    availability_zone: 'lab',
    metadata: { ssd: 'true' },
  });
  expect(await json('aggregate add host fast node-1')).toMatchObject({ hosts: ['node-1'] });
  expect(await json('aggregate list --long')).toMatchObject([{ Name: 'fast', Hosts: ['node-1'] }]);
  await ok('aggregate set --property rack=7 --name quick fast');
  await ok('aggregate unset --property ssd quick');
  expect(await json('aggregate show quick')).toMatchObject({ metadata: { availability_zone: 'lab', rack: '7' } });
  expect(await fails(1, 'aggregate delete quick')).toContain('not empty');
  expect(await fails(1, 'aggregate add host quick nobody')).toContain('nobody could not be found');
  expect(await json('aggregate remove host quick node-1')).toMatchObject({ hosts: [] });
  await ok('aggregate delete quick');
  expect(await fails(1, 'aggregate show quick')).toContain('quick');
});

test('a server group is made, shown, used by a hint and deleted', async () => {
  const made = await json('server group create --policy anti-affinity --max-per-host 1 apart');
  expect(made).toMatchObject({ name: 'apart', policy: 'anti-affinity', rules: { max_server_per_host: 1 } });
  const boot = `server create --image tiny --flavor m1.tiny --network demo --hint group=${made.id} --wait`;
  const first = await json(`${boot} g1`);
  expect(await json('server group show apart')).toMatchObject({ members: [first.id] });
  expect(await json('server group list --all-projects --long')).toMatchObject([{ Name: 'apart', Members: [first.id] }]);
  expect(await fails(1, `${boot} g2`)).toContain('it has 1 server of the anti-affinity group already');
  expect(await fails(2, 'server group create --policy odd x')).toContain('odd');
  expect(await fails(1, 'server explain --flavor m1.tiny --server-group nobody')).toContain('nobody');
  const no = await all.run('server explain --flavor m1.tiny --server-group apart -f json');
  expect(no.exit).toBe(1);
  expect(JSON.parse(no.out)).toEqual([
    {
      Host: 'node-1',
      Fits: false,
      Rule: 'server group',
      Reason: 'it has 1 server of the anti-affinity group already',
    },
  ]);
  await ok('server delete --wait g1 g2');
  await ok('server group delete apart');
});

test('explain names the host that fits, and for tenants counts reasons only', async () => {
  expect(await json('server explain --flavor m1.tiny --image tiny')).toEqual([
    { Host: 'node-1', Fits: true, Rule: null, Reason: null },
  ]);
  await ok('server create --image tiny --flavor m1.tiny --network none --wait there');
  const near = await json('server explain --flavor m1.tiny --same-host there');
  expect(near).toMatchObject([{ Host: 'node-1', Fits: true }]);
  const far = await all.run('server explain --flavor m1.tiny --different-host there -f json');
  expect(far.exit).toBe(1);
  expect(JSON.parse(far.out)).toMatchObject([{ Host: 'node-1', Fits: false }]);
  expect(await fails(1, 'server explain --flavor m1.tiny --same-host nobody')).toContain(
    'no server is called "nobody"',
  );
  await ok('server delete --wait there');
  await ok('flavor create --ram 9000000 --vcpus 1 --disk 1 huge');
  const tenant = await all.run('server explain --flavor huge --os-cloud demo -f json');
  expect(tenant.exit).toBe(1);
  expect(JSON.parse(tenant.out)).toEqual({
    fits: 0,
    message: expect.stringMatching(
      /^No valid host was found\. 1 host: not enough memory: 9000000 MiB asked, \d+ MiB free\.$/,
    ),
  });
  const flavor = (await json('flavor show huge')).id;
  const none = '00000000-0000-0000-0000-000000000000';
  for (const [body, status] of [
    [{}, 400],
    [{ flavor: 'none' }, 404],
    [{ flavor, colour: 'red' }, 400],
    [{ flavor, availability_zone: 'nowhere' }, 400],
    [{ flavor, image: none }, 400],
    [{ flavor, hints: { group: none } }, 404],
  ] as const) {
    const answer = await all.cloud.test.call('POST', '/cumulet/v1/placement', { token: all.cloud.admin, body });
    expect([body, answer.status]).toEqual([body, status]);
  }
  await ok('flavor delete huge');
});

test('every command of these nouns was run with success', () => {
  expect(all.untried('aggregate', 'server group', 'server explain')).toEqual([]);
});
