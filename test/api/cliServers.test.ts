// cumulet server, console and audit against a cloud with a simulated host.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '@cumulet/common';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];

const BOOT = 'server create --image tiny --flavor m1.tiny --network demo --wait';

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
});
afterAll(() => all.stop());

/** Waits for what a task brings about. @throws Error after 10 s */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await holds()) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error('it did not come about');
}

/** Keeps the host from carrying out commands of a kind until the function that is returned is called. */
function hold(kind: string): () => void {
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  all.host.before = (asked) => (asked === kind ? held : undefined);
  return () => {
    all.host.before = () => undefined;
    go();
  };
}

const status = (name: string): Promise<string> => ok(`server show ${name} -f value -c status`);

test('a server is created, listed, explained and deleted', async () => {
  const made = await json(`${BOOT} --property role=web --tag red --description first hello`);
  expect(made).toMatchObject({ name: 'hello', status: 'ACTIVE', metadata: { role: 'web' }, tags: ['red'] });
  expect(made.adminPass).toMatch(/\S/);
  const [row] = await json('server list');
  expect(row).toMatchObject({ ID: made.id, Name: 'hello', Status: 'ACTIVE', Image: 'tiny', Flavor: 'm1.tiny' });
  expect(row.Networks).toMatch(/^demo=10\.0\.0\.\d+$/);
  expect(await json('server list --long --status ACTIVE --tags red --host node-1 --all-projects')).toMatchObject([
    { ID: made.id, 'Power State': 'Running', Host: 'node-1', Properties: { role: 'web' } },
  ]);
  expect((await json('server list -n'))[0].Image).toMatch(/^[0-9a-f-]{36}$/);
  expect(await json('server list --status SHUTOFF')).toEqual([]);
  expect(await json('server list --project demo')).toEqual([]);

  const steps = await json('server why hello');
  expect(steps.length).toBeGreaterThan(2);
  expect(steps[0]).toMatchObject({ Task: 'server.create', 'Request ID': expect.stringMatching(/^req-/) });
  expect(steps.at(-1).Outcome).toBe('done');
  expect(await ok('console log show --lines 5 hello')).toBe('simulated');
  await ok('audit');

  const events = await json('server event list --long hello');
  expect(events).toMatchObject([{ Action: 'create', 'Server ID': made.id }]);
  const event = await json(`server event show hello ${events[0]['Request ID']}`);
  expect(event).toMatchObject({ action: 'create', request_id: events[0]['Request ID'] });
  expect(Object.keys((await json('server event list hello'))[0])).not.toContain('Message');
  expect(await ok('server delete --wait hello')).toBe('');
  expect(all.host.domains.size).toBe(0);
});

test('power, lock, rebuild and images', async () => {
  await ok(`${BOOT} s1`);
  for (const [verb, state] of [
    ['stop', 'SHUTOFF'],
    ['start', 'ACTIVE'],
    ['pause', 'PAUSED'],
    ['unpause', 'ACTIVE'],
    ['suspend', 'SUSPENDED'],
    ['resume', 'ACTIVE'],
    ['reboot', 'ACTIVE'],
    ['reboot --hard', 'ACTIVE'],
  ] as const) {
    await ok(`server ${verb} --wait s1`);
    expect(await status('s1')).toBe(state);
  }
  await ok('server lock --reason maintenance s1');
  expect(await json('server show s1')).toMatchObject({ locked: true, locked_reason: 'maintenance' });
  await ok('server unlock s1');
  expect((await json('server show s1')).locked).toBe(false);
  expect(await json('server rebuild --image tiny --name s2 --wait s1')).toMatchObject({ name: 's2', status: 'ACTIVE' });
  expect(await json('server rebuild --wait s2')).toMatchObject({ status: 'ACTIVE' });
  await ok('server delete --force --wait s2');
});

test('what a server is called and carries is set and unset', async () => {
  await ok(`${BOOT} s3`);
  await ok('server set --name s4 --description new --property a=1 --property b=2 --tag red --tag blue s3');
  expect(await json('server show s4')).toMatchObject({
    name: 's4',
    description: 'new',
    metadata: { a: '1', b: '2' },
    tags: ['blue', 'red'],
  });
  await ok('server unset --property a --tag red --description s4');
  expect(await json('server show s4')).toMatchObject({ description: null, metadata: { b: '2' }, tags: ['blue'] });
  await ok('server set --state error s4');
  expect(await status('s4')).toBe('ERROR');
  await ok('server set --state active s4');
  expect(await fails(2, 'server set --state broken s4')).toContain('it is one of active, error');
  expect(await fails(2, 'server set s4')).toContain('server set needs one of --name');
  await ok('server delete --wait s4');
});

test('addresses, groups and networks of a server', async () => {
  await ok('network create --external public');
  await ok('subnet create --network public --subnet-range 172.24.4.0/24 --no-dhcp public-subnet');
  await ok('router create --external-gateway public r1');
  await ok('router add subnet r1 demo-subnet');
  await ok('security group create web');
  await ok(`${BOOT} --security-group default s5`);
  const { floating_ip_address: address } = await json('floating ip create public');
  await ok(`server add floating ip s5 ${address}`);
  expect((await json('server list --name s5'))[0].Networks).toContain(address);
  expect(await fails(1, 'server add floating ip s5 192.0.2.1')).toContain('no floating ip is called "192.0.2.1"');
  await ok(`server remove floating ip s5 ${address}`);
  expect(await fails(1, `server remove floating ip s5 ${address}`)).toContain('does not belong to server "s5"');
  const fixed = (await json('port list --server s5'))[0]['Fixed IP Addresses'][0].ip_address;
  await ok(`server add floating ip --fixed-ip-address ${fixed} s5 ${address}`);
  await ok('server add security group s5 web');
  expect((await json('server show s5')).security_groups).toEqual([{ name: 'default' }, { name: 'web' }]);
  await ok('server remove security group s5 web');
  expect((await json('server show s5')).security_groups).toEqual([{ name: 'default' }]);
  expect(await fails(1, 'server remove fixed ip s5 10.0.0.250')).toContain('no such port');
  expect(await fails(1, `server add floating ip --fixed-ip-address 10.0.0.250 s5 ${address}`)).toContain(
    'server "s5" has no port with 10.0.0.250',
  );
  await ok('server delete --wait s5');
});

test('a floating IP finds the port that a router leads to, and says why there is none', async () => {
  const { floating_ip_address: address } = await json('floating ip create public');
  await ok('network create island');
  await ok('subnet create --network island --subnet-range 10.3.0.0/24 island');
  const boot = 'server create --image tiny --flavor m1.tiny --wait';
  await ok(`${boot} --network none n1`);
  expect(await fails(1, `server add floating ip n1 ${address}`)).toContain(
    'server "n1" has no port: it was created without a network',
  );
  await ok(`${boot} --network island n2`);
  expect(await fails(1, `server add floating ip n2 ${address}`)).toContain('HTTP 404');
  await ok(`${boot} --network island --network demo n3`);
  await ok(`server add floating ip n3 ${address}`);
  expect((await json(`floating ip show ${address}`)).fixed_ip_address).toMatch(/^10\.0\.0\./);
  await ok('server delete --wait n1 n2 n3');
});

test('an image of a server is made and waited for', async () => {
  await ok(`${BOOT} m1`);
  expect(await json('server image create --name m1-copy --property role=web --wait m1')).toMatchObject({
    name: 'm1-copy',
    status: 'active',
    role: 'web',
  });
  const asked = await json('server image create m1');
  expect(asked).toMatchObject({ name: 'm1', instance_uuid: (await json('server show m1')).id });
  await eventually(async () => (await ok('image show m1 -f value -c status')) === 'active');
  all.host.before = (kind) => {
    if (kind === 'snapshot.prepare') throw new HostError('broken', 'the disk is full', { retryable: false });
  };
  const error = await fails(1, 'server image create --name m1-broken --wait m1');
  all.host.before = () => undefined;
  expect(error).toMatch(/^image \S+ could not be made: it is gone$/);
  await ok('server delete --wait m1');
  await ok('image delete m1 m1-copy');
});

test('what a server is at is told while it is at it', async () => {
  const go = hold('server.ensure');
  try {
    await ok('server create --image tiny --flavor m1.tiny --network demo w1');
    const last = async () => (await json('server why w1')).at(-1);
    await eventually(async () => (await last())?.Step === 'spawn');
    expect(await last()).toMatchObject({ Task: 'server.create', Outcome: 'running', Message: '' });
  } finally {
    go();
  }
  await ok('server delete --wait w1');
});

test('a server that was put into ERROR by hand has no cause', async () => {
  const go = hold('server.ensure');
  try {
    const waiting = all.run(`${BOOT} e1`);
    await eventually(async () => (await json('server why e1').catch(() => [])).at(-1)?.Step === 'spawn');
    await ok('server set --state error e1');
    expect(await waiting).toMatchObject({
      exit: 1,
      err: 'server "e1" went into ERROR: no cause is known (see: cumulet server why e1)',
    });
  } finally {
    go();
  }
  await ok('server delete --wait e1');
});

test('a server whose deletion was given up is not waited for any longer', async () => {
  await ok(`${BOOT} d1`);
  const go = hold('disk.remove');
  try {
    const waiting = all.run('server delete --wait d1');
    await eventually(async () => (await json('server show d1'))['OS-EXT-STS:task_state'] === 'deleting');
    await ok('server set --state error d1');
    expect(await waiting).toEqual({
      exit: 1,
      out: '',
      err: 'server "d1" could not be deleted (see: cumulet server why d1)',
    });
  } finally {
    go();
  }
  await eventually(async () => (await json('server list --name d1')).length === 0);
});

test('interfaces come and go', async () => {
  await ok('network create second');
  await ok(
    'subnet create --network second --subnet-range 10.2.0.0/24 --allocation-pool start=10.2.0.20,end=10.2.0.90 second',
  );
  await ok('port create --network second --fixed-ip ip-address=10.2.0.5 eth9');
  await ok(`${BOOT} i1`);
  const second = async (): Promise<string[]> => {
    const { addresses } = await json('server show i1');
    return (addresses.second ?? []).map(({ addr }: { addr: string }) => addr);
  };
  await ok('server add network i1 second');
  await eventually(async () => (await second()).length === 1);
  await ok('server remove network i1 second');
  await eventually(async () => (await second()).length === 0);
  await ok('server add port i1 eth9');
  await eventually(async () => (await second()).includes('10.2.0.5'));
  await ok('server remove port i1 eth9');
  await eventually(async () => (await second()).length === 0);
  await ok('server add fixed ip --fixed-ip-address 10.2.0.9 i1 second');
  await eventually(async () => (await second()).includes('10.2.0.9'));
  const [{ ID: id }] = await json('port list --server i1 --network second');
  await ok(`port set --fixed-ip ip-address=10.2.0.10 ${id}`);
  await ok('server remove fixed ip i1 10.2.0.9');
  expect(await second()).toEqual(['10.2.0.10']);
  await ok('server remove fixed ip i1 10.2.0.10');
  await eventually(async () => (await second()).length === 0);
  await ok('server add fixed ip i1 second');
  await eventually(async () => (await second()).length === 1);
  await ok(`server remove fixed ip i1 ${(await second())[0]}`);
  await eventually(async () => (await second()).length === 0);
  expect(await fails(1, 'server remove network i1 second')).toContain('no such port');
  await ok('server delete --wait i1');
});

test('networks are chosen by name, port, card or not at all', async () => {
  await ok('port create --network demo --fixed-ip ip-address=10.0.0.77 eth0');
  expect((await json(`server create --image tiny --flavor m1.tiny --port eth0 --wait p1`)).addresses.demo[0].addr).toBe(
    '10.0.0.77',
  );
  const nic = 'net-id=demo,v4-fixed-ip=10.0.0.78';
  expect((await json(`server create --image tiny --flavor m1.tiny --nic ${nic} --wait p2`)).addresses.demo).toEqual([
    expect.objectContaining({ addr: '10.0.0.78' }),
  ]);
  expect((await json('server create --image tiny --flavor m1.tiny --network none --wait p3')).addresses).toEqual({});
  const bad = 'server create --image tiny --flavor m1.tiny';
  expect(await fails(2, `${bad} --network none --network demo p4`)).toContain('"none" stands alone');
  expect(await fails(2, `${bad} --nic net=demo p4`)).toContain('--nic is auto, none or KEY=VALUE');
  await ok('server delete --wait p1 p2 p3');
});

test('several at once are all shown, and names that fit two need an id', async () => {
  const rows = await json(`${BOOT} --min 2 --max 2 twin`);
  expect(rows).toMatchObject([{ Status: 'ACTIVE' }, { Status: 'ACTIVE' }]);
  const ids = rows.map(({ ID }: { ID: string }) => ID);
  for (const id of ids) await ok(`server set --name same ${id}`);
  const error = await fails(1, 'server stop same');
  for (const id of ids) expect(error).toContain(id);
  const partly = await all.run(`server delete --wait ${ids[0]} nobody ${ids[1]}`);
  expect(partly).toMatchObject({ exit: 1, err: 'no server is called "nobody"' });
  expect(await json('server list')).toEqual([]);
});

test('user data is a file', async () => {
  const file = join(all.directory, 'user-data');
  writeFileSync(file, '#!/bin/sh\n');
  await ok(`${BOOT} --user-data ${file} --config-drive u1`);
  expect((await json('server show u1')).config_drive).toBe('True');
  expect(await fails(1, `${BOOT} --user-data ${file}.not u2`)).toContain('could not be read: ENOENT');
  await ok('server delete --wait u1');
});

test('a server that fails says why, and `why` says it too', async () => {
  all.host.before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('broken', 'the machine has no processor', { retryable: false });
  };
  const error = await fails(1, `${BOOT} f1`);
  all.host.before = () => undefined;
  expect(error).toMatch(/server "f1" went into ERROR: .*the machine has no processor.*cumulet server why f1/);
  const steps = await json('server why f1');
  expect(steps.map(({ Message }: { Message: string }) => Message).join()).toContain('the machine has no processor');
  await ok('server delete --wait f1');
});

test('another project sees none of it', async () => {
  await ok(`${BOOT} mine`);
  const { id } = await json('server show mine');
  const demo = { OS_CLOUD: 'demo' };
  expect(JSON.parse((await all.run('server list -f json', demo)).out)).toEqual([]);
  for (const line of [`server show ${id}`, `server why ${id}`, `server stop ${id}`, `server delete ${id}`])
    expect(await all.run(line, demo)).toMatchObject({ exit: 1, out: '', err: `no server is called "${id}"` });
  expect(await all.run('audit', demo)).toMatchObject({ exit: 2, out: '' });
  await ok('server delete --wait mine');
});

test('an audit with findings ends with 1 and lists them', async () => {
  all.host.domains.set('orphan', 'running');
  const { exit, out } = await all.run('audit');
  all.host.domains.delete('orphan');
  expect(exit).toBe(1);
  expect(out).toContain('orphan');
});

test('every command was seen to succeed', () => {
  // Images of servers are tried on a real host, groups, placement, moves, shelving and consoles in tests of their own.
  const apart =
    /^console url show$|^server (console|image create|group .*|explain|resize.*|migrat.*|evacuate|shelve|ssh|unshelve)$/;
  expect(all.untried('server', 'console', 'audit').filter((name) => !apart.test(name))).toEqual([]);
});

describe('bad input', () => {
  test.each([
    [1, 'server show nobody', 'no server is called "nobody"'],
    [1, 'server why nobody', 'no server is called "nobody"'],
    [1, 'server event list nobody', 'no server is called "nobody"'],
    [2, 'server event show nobody', 'server event show needs REQUEST-ID'],
    [2, 'console log show --lines many nobody', '--lines takes a whole number, not "many"'],
    [2, 'server create x', 'server create needs --image IMAGE'],
    [2, `${BOOT} --min few x`, '--min takes a whole number, not "few"'],
    [1, 'server create --image tini --flavor m1.tiny x', 'no image is called "tini": did you mean "tiny"?'],
    [1, 'server rebuild nobody', 'no server is called "nobody"'],
    [1, 'server set --name x nobody', 'no server is called "nobody"'],
    [1, 'server unset --tag x nobody', 'no server is called "nobody"'],
    [2, 'server unset nobody', 'server unset needs one of --property, --tag, --description'],
    [1, 'server image create nobody', 'no server is called "nobody"'],
    [1, 'server list --flavor nothing', 'no flavor is called "nothing"'],
    ...['start', 'stop', 'reboot', 'pause', 'unpause', 'suspend', 'resume', 'lock', 'unlock', 'delete'].map(
      (verb) => [1, `server ${verb} nobody`, 'no server is called "nobody"'] as const,
    ),
    ...['floating ip', 'security group', 'network', 'port', 'fixed ip'].flatMap((words) =>
      ['add', 'remove'].map((verb) => [1, `server ${verb} ${words} nobody x`, 'no server is called "nobody"'] as const),
    ),
  ] as const)('ends with %i: %s', async (exit, line, words) => expect(await fails(exit, line)).toContain(words));
});
