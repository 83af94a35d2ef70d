// The unmodified OpenStack client of the distribution works on the identity service.
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { runOpenstack } from '../support/openstackClient';

let cloud: IdentityCloud;
beforeAll(async () => void (cloud = await startIdentity()));
afterAll(() => cloud.stop());

interface As {
  readonly user?: string;
  readonly password?: string;
  readonly project?: string | null;
  readonly authPath?: string;
}

/** Runs the client with the given environment; its output as JSON. */
async function openstack(words: string, as: As = {}): Promise<unknown> {
  const { user = 'admin', password = ADMIN_PASSWORD, project = 'admin', authPath = '' } = as;
  const environment = {
    OS_AUTH_URL: cloud.test.url + authPath,
    OS_USERNAME: user,
    OS_PASSWORD: password,
    OS_USER_DOMAIN_NAME: 'Default',
    OS_IDENTITY_API_VERSION: '3',
    ...(project === null
      ? { OS_SYSTEM_SCOPE: 'all' }
      : { OS_PROJECT_NAME: project, OS_PROJECT_DOMAIN_NAME: 'Default' }),
  };
  const stdout = await runOpenstack(words.split(' '), environment);
  return stdout === '' ? undefined : JSON.parse(stdout);
}

const json = '-f json';

test.each(['', '/v3', '/identity', '/identity/v3/'])(
  'a token is issued with OS_AUTH_URL ending in "%s"',
  async (authPath) => {
    const token = await openstack(`token issue ${json}`, { authPath });
    expect(token).toMatchObject({
      id: expect.stringMatching(/^ey/),
      expires: expect.any(String),
      project_id: expect.any(String),
    });
  },
);

test('a token for the system, and the catalog', async () => {
  expect(await openstack(`token issue ${json}`, { project: null })).toMatchObject({ system: 'all' });
  const catalog = (await openstack(`catalog list ${json}`)) as { Name: string; Type: string }[];
  expect(catalog.map((one) => one.Type).sort()).toEqual(
    expect.arrayContaining(['compute', 'identity', 'image', 'network']),
  );
});

test('projects, users, groups and roles are made, granted, listed, used and taken', async () => {
  const project = await openstack(`project create --description lab --tag green --property owner=me ${json} field`);
  expect(project).toMatchObject({
    name: 'field',
    description: 'lab',
    tags: ['green'],
    enabled: true,
    parent_id: 'default',
  });
  const user = await openstack(`user create --password pw --email f@example.org ${json} farmer`);
  expect(user).toMatchObject({ name: 'farmer', email: 'f@example.org', domain_id: 'default' });
  await openstack('role add --project field --user farmer member');
  await openstack(`group create ${json} farmers`);
  await openstack('group add user farmers farmer');
  await openstack('role add --project field --group farmers reader');
  const assignments = await openstack(`role assignment list --project field --names ${json}`);
  expect(assignments).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ Role: 'member', User: 'farmer@Default', Project: 'field@Default' }),
      expect.objectContaining({ Role: 'reader', Group: 'farmers@Default', Project: 'field@Default' }),
    ]),
  );
  const mine = { user: 'farmer', password: 'pw', project: 'field' };
  expect(await openstack(`project show ${json} field`, mine)).toMatchObject({ name: 'field' });
  await expect(openstack(`user list ${json}`, mine)).rejects.toThrow('403');
  await openstack('user password set --original-password pw --password pw2', mine);
  await expect(openstack(`token issue ${json}`, mine)).rejects.toThrow('401');
  const inherited = await openstack(`role assignment list --user farmer --effective --names ${json}`);
  expect((inherited as { Role: string }[]).map((one) => one.Role).sort()).toEqual(['member', 'reader', 'reader']);
  await openstack('role remove --project field --user farmer member');
  await openstack('group delete farmers');
  await openstack('user set --disable farmer');
  await openstack('user delete farmer');
  await openstack('project delete field');
  expect(await openstack(`project list --tags green ${json}`)).toEqual([]);
});

test('a domain is made, disabled and deleted', async () => {
  await openstack(`domain create ${json} valley`);
  await expect(openstack('domain delete valley')).rejects.toThrow('403');
  await openstack('domain set --disable valley');
  await openstack('domain delete valley');
});

test('roles imply others; services, endpoints and regions are managed', async () => {
  await openstack(`role create ${json} pilot`);
  await openstack(`implied role create --implied-role reader ${json} pilot`);
  const rules = (await openstack(`implied role list ${json}`)) as Record<string, string>[];
  expect(rules.map((one) => `${one['Prior Role Name']} ${one['Implied Role Name']}`)).toContain('pilot reader');
  await openstack(`service create --name cinder ${json} volumev3`);
  await openstack(`region create ${json} attic`);
  const endpoint = await openstack(`endpoint create --region attic ${json} volumev3 public /volume/v3/%(project_id)s`);
  expect(endpoint).toMatchObject({ service_name: 'cinder', interface: 'public', region: 'attic' });
  expect(await openstack(`endpoint list --service volumev3 ${json}`)).toHaveLength(1);
  await openstack('service delete cinder');
});
