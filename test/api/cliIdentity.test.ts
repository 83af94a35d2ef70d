// cumulet project, user, group, role, domain, region, service and endpoint.
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

const names = (rows: { Name: string }[]): string[] => rows.map(({ Name }) => Name).sort();

test('project', async () => {
  const made = await json('project create --description lab --tag red --property floor=3 lab');
  expect(made).toMatchObject({ name: 'lab', description: 'lab', enabled: true, floor: '3', tags: ['red'] });
  expect(await json('project create --or-show lab')).toMatchObject({ id: made.id });
  expect(await fails(1, 'project create lab')).toContain('HTTP 409');
  await ok('project create --parent lab below');
  expect(names(await json('project list --parent lab'))).toEqual(['below']);
  await ok('project delete below');
  await ok('project set --name lab-1 --disable --tag blue --remove-tag red lab');
  expect(await json('project show lab-1')).toMatchObject({ enabled: false, tags: ['blue'] });
  await ok('project set --clear-tags --enable lab-1');
  expect(await json('project list --tags blue')).toEqual([]);
  expect(names(await json('project list --my-projects'))).toEqual(['admin']);
  expect(names(await json('project list --user demo'))).toEqual(['demo']);
  expect(await json('project list --long --domain Default')).toContainEqual(
    expect.objectContaining({ Name: 'lab-1', 'Domain ID': 'default', Enabled: true }),
  );
  await ok('project delete lab-1');
  expect(await fails(1, 'project show admn')).toBe('no project is called "admn": did you mean "admin"?');
});

test('user and group', async () => {
  const made = await json(
    'user create --project demo --password secret-1 --email a@example.org --ignore-lockout-failure-attempts alice',
  );
  expect(made).toMatchObject({
    name: 'alice',
    email: 'a@example.org',
    options: { ignore_lockout_failure_attempts: true },
  });
  expect(made).not.toHaveProperty('password');
  await ok('user set --no-ignore-lockout-failure-attempts --enable-lock-password alice');
  expect((await json('user show alice')).options).toEqual({
    ignore_lockout_failure_attempts: false,
    lock_password: true,
  });
  await ok('user set --email b@example.org --description boss --disable alice');
  expect(await json('user show alice')).toMatchObject({ email: 'b@example.org', description: 'boss', enabled: false });
  await ok('user set --enable alice');
  expect(names(await json('user list'))).toEqual(['admin', 'alice', 'demo']);
  expect(names(await json('user list --project demo'))).toEqual(['demo']);

  await ok('group create --description "who runs it" staff');
  await ok('group set --name crew staff');
  expect(await json('group show crew')).toMatchObject({ description: 'who runs it' });
  expect(await fails(1, 'group contains user crew alice')).toContain('HTTP 404');
  await ok('group add user crew alice');
  expect(await ok('group contains user --user-domain Default crew alice')).toBe('alice in group crew');
  expect(names(await json('user list --group crew'))).toEqual(['alice']);
  expect(names(await json('group list --user alice'))).toEqual(['crew']);
  await ok('role add --group crew --project demo member');
  expect(names(await json('user list --project demo'))).toEqual(['alice', 'demo']);
  await ok('role remove --group crew --project demo member');
  await ok('group remove user crew alice');
  await ok('group delete crew');
  await ok('user delete alice');
  expect(await fails(1, 'group add user nobody alice')).toContain('is called');
});

test('a user changes the own password', async () => {
  await ok('user create --password first-secret bob');
  await ok('role add --user bob --project demo member');
  const bob = { OS_AUTH_URL: `${all.cloud.test.url}/v3`, OS_USERNAME: 'bob', OS_PROJECT_NAME: 'demo' };
  const [first, second] = [
    { ...bob, OS_PASSWORD: 'first-secret' },
    { ...bob, OS_PASSWORD: 'second-secret' },
  ];
  expect(await all.run('user password set --password second-secret', first)).toEqual({ exit: 0, out: '', err: '' });
  expect((await all.run('token issue', second)).exit).toBe(0);
  expect((await all.run('token issue', first)).err).toMatch(/refused bob: .*HTTP 401/);
  expect(await all.run('user password set', second)).toMatchObject({
    exit: 2,
    err: 'a password can be asked for on a terminal only',
  });
  expect((await all.run('token issue', bob)).err).toContain('there is no password: set OS_PASSWORD');
});

test('role, implied role and assignments', async () => {
  await ok('role create --description "on duty" operator');
  await ok('role set --name duty operator');
  expect(await json('role show duty')).toMatchObject({ description: 'on duty' });
  expect(names(await json('role list'))).toContain('duty');
  await ok('implied role create --implied-role reader duty');
  expect(await json('implied role list')).toContainEqual(
    expect.objectContaining({ 'Prior Role Name': 'duty', 'Implied Role Name': 'reader' }),
  );
  await ok('role add --user demo --project demo --inherited duty');
  await ok('role add --user demo --domain Default duty');
  await ok('role add --user demo --system all --user-domain Default duty');
  const given = await json('role assignment list --user demo --role duty --names');
  expect(given).toHaveLength(3);
  expect(given).toContainEqual(
    expect.objectContaining({ User: 'demo@Default', Project: 'demo@Default', Inherited: true }),
  );
  expect(given).toContainEqual(expect.objectContaining({ System: 'all', Inherited: false }));
  expect(await json('role assignment list --effective --user demo --domain Default')).toHaveLength(2);
  expect((await json('role assignment list --auth-user --auth-project --names'))[0]).toMatchObject({
    User: 'admin@Default',
  });
  await ok('role remove --user demo --project demo --inherited duty');
  await ok('role remove --user demo --domain Default duty');
  await ok('role remove --user demo --system all duty');
  expect(await json('role assignment list --role duty')).toEqual([]);
  await ok('implied role delete --implied-role reader duty');
  await ok('role delete duty');
  expect(await fails(2, 'role add --user demo member')).toBe('role add needs one of --project, --domain, --system');
  expect(await fails(2, 'role add --user demo --group x --project demo member')).toContain('--user, --group');
  expect(await fails(2, 'implied role create member')).toContain('--implied-role ROLE');
  expect(await fails(1, 'role assignment list --user nobody')).toContain('no user is called "nobody"');
});

test('names of other domains are found when the domain is said', async () => {
  await ok('domain create --description far far');
  await ok('domain set --name away far');
  expect(await json('domain show away')).toMatchObject({ description: 'far', enabled: true });
  await ok('project create --domain away there');
  await ok('user create --domain away demo');
  const error = await fails(1, 'user show demo');
  expect(error).toContain('2 of kind user are called "demo"');
  const { id } = await json('user show --domain away demo');
  await ok('role add --user demo --user-domain away --project there --project-domain away member');
  expect(await json(`role assignment list --user ${id}`)).toHaveLength(1);
  await ok('user delete --domain away demo');
  expect(await fails(1, 'project show --domain nowhere there')).toContain('no domain is called "nowhere"');
  expect(await fails(1, 'domain delete away')).toContain('HTTP 403');
  await ok('domain set --disable away');
  expect(await json('domain list')).toContainEqual(expect.objectContaining({ Name: 'away', Enabled: false }));
  await ok('domain delete away');
});

test('region, service and endpoint', async () => {
  await ok('region create --description north north');
  await ok('region set --description south north');
  expect(await json('region show north')).toMatchObject({ id: 'north', description: 'south' });
  expect(await json('region list')).toContainEqual(expect.objectContaining({ Region: 'north' }));
  await ok('service create --name backups --description nightly backup');
  await ok('service set --description weekly backup');
  expect(await json('service show backups')).toMatchObject({ type: 'backup', description: 'weekly' });
  expect(await json('service list --long')).toContainEqual(expect.objectContaining({ Type: 'backup', Enabled: true }));
  const { id } = await json('endpoint create --region north backup public http://127.0.0.1:9000');
  await ok(`endpoint set --url http://127.0.0.1:9001 ${id}`);
  expect(await json(`endpoint show ${id}`)).toMatchObject({ url: 'http://127.0.0.1:9001', region_id: 'north' });
  expect(await json('endpoint list --service backup --interface public')).toMatchObject([{ ID: id, Region: 'north' }]);
  expect(await json('catalog show backup')).toMatchObject({ name: 'backups' });
  await ok(`endpoint delete ${id}`);
  await ok('service delete backup');
  await ok('service create backup');
  const bare = await json('endpoint create backup internal http://127.0.0.1:9000');
  expect((await json('catalog show backup')).endpoints).toMatchObject([{ interface: 'internal' }]);
  const catalog = await json('catalog list');
  expect(catalog).toContainEqual(
    expect.objectContaining({ Type: 'backup', Endpoints: ' internal: http://127.0.0.1:9000' }),
  );
  // Only a public endpoint is asked which versions it speaks.
  expect(await json('versions show --service backup')).toEqual([]);
  await ok(`endpoint delete ${bare.id}`);
  await ok('service delete backup');
  await ok('region delete north');
  expect(await fails(2, 'endpoint create backup public')).toContain('endpoint create needs URL');
  expect(await fails(1, 'endpoint create nothing public http://x')).toContain('no service is called "nothing"');
});

test('a member is told that this is for administrators', async () => {
  const demo = { OS_CLOUD: 'demo' };
  expect((await all.run('user list', demo)).err).toContain('HTTP 403');
  expect((await all.run('project show demo -f value -c name', demo)).out).toBe('demo');
  expect(await all.run('project show admin', demo)).toMatchObject({ exit: 1, out: '' });
});

test('every command was seen to succeed', () => {
  const nouns = ['project', 'user', 'group', 'role', 'implied', 'domain', 'region', 'service', 'endpoint'];
  // That one is seen in cliUserAdd.test.ts.
  expect(all.untried(...nouns)).toEqual(['user add']);
});

describe('bad input', () => {
  const nouns = ['project', 'user', 'group', 'role', 'domain', 'region', 'service', 'endpoint'];
  test.each(
    nouns.flatMap((noun) => ['show', 'delete', 'set --description x'].map((verb) => [`${noun} ${verb}`, noun])),
  )('%s nobody', async (line, noun) =>
    expect(await fails(noun === 'endpoint' && line.includes('set') ? 2 : 1, `${line} nobody`)).toMatch(
      /is called "nobody"|has no option/,
    ),
  );
  test.each(nouns.flatMap((noun) => [`${noun} create`, `${noun} set x`, `${noun} list x`]))(
    '%s ends with 2',
    async (line) => expect(await fails(2, line)).toMatch(/needs|does not take/),
  );
});
