// Arbitrary queries and bodies at arbitrary microversions: the placement API answers each with a reason, never with an internal error.
import fc from 'fast-check';
import { placementService } from '../../controller/src/api/placement/routes';
import { hosts } from '../../controller/src/db/entities/tasks';
import { makeHost } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id = '';
beforeAll(async () => {
  cloud = await startTestCloud();
  await makeHost(cloud, 'h1');
  id = (await cloud.cloud.db.read((session) => session.findOne(hosts, { name: 'h1' })))?.id ?? '';
});
afterAll(() => cloud.stop());

const call = (method: string, path: string, minor: number, body?: unknown): Promise<Answer> =>
  cloud.call(method, `/placement${path}`, {
    token: 'admin',
    headers: { 'openstack-api-version': `placement 1.${minor}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

function inWords({ status, body }: Answer): void {
  expect([200, 201, 204, 400, 403, 404, 405, 409]).toContain(status);
  if (status < 400) return;
  expect(body.errors).toHaveLength(1);
  expect(body.errors[0]).toMatchObject({ status, detail: expect.stringMatching(/\w+ \w+/) });
}

const names = fc.constantFrom('VCPU', 'CUSTOM_A', 'HW_CPU_X86_AVX2', '__proto__', 'constructor', '', 'h1');
const word = fc.oneof(
  names,
  fc.string({ maxLength: 8 }),
  fc.constantFrom('1', '0', '-1', '!', 'in:', '!in:', 'all', 'none'),
);
const text = fc.oneof(
  word,
  fc.tuple(names, fc.integer({ min: -2, max: 9 })).map(([name, amount]) => `${name}:${amount}`),
  fc.array(word, { maxLength: 3 }).map((words) => words.join(',')),
  fc.array(word, { maxLength: 3 }).map((words) => `in:${words.join(',')}`),
  fc.constant('').map(() => id),
);
const keys = fc.constantFrom(
  ...['name', 'uuid', 'in_tree', 'in_tree1', 'member_of', 'resources', 'resources1', 'resources_A', 'required'],
  ...['required1', 'required_A', 'limit', 'group_policy', 'root_required', 'same_subtree', 'associated', 'project_id'],
  ...['user_id', 'consumer_type', '__proto__', 'constructor', ''],
);
const minors = fc.integer({ min: 0, max: 39 });

test('any query is answered or refused in words', async () => {
  const paths = placementService.routes
    .filter(({ method, path }) => method === 'GET' && !path.includes(':'))
    .map(({ path }) => path);
  const pairs = fc.array(fc.tuple(keys, text), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), pairs, minors, async (path, query, minor) => {
      inWords(await call('GET', `${path}?${new URLSearchParams(query).toString()}`, minor));
    }),
    { numRuns: 400 },
  );
});

const scalar = fc.oneof(fc.constantFrom<unknown>(null, true, 0, 1, 16, -1, 1.5, 1e300, 2 ** 31), text);
const inventory = fc.dictionary(
  fc.constantFrom('total', 'reserved', 'min_unit', 'max_unit', 'step_size', 'allocation_ratio', '__proto__'),
  scalar,
  { maxKeys: 4 },
);
const body = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 2 }),
  fc.record(
    {
      resource_provider_generation: fc.constantFrom<unknown>(0, 1, 2, 3, '1'),
      traits: fc.array(scalar, { maxLength: 2 }),
      aggregates: fc.array(scalar, { maxLength: 2 }),
      inventories: fc.dictionary(names, inventory, { maxKeys: 3 }),
      allocations: fc.constant({}),
      name: scalar,
      uuid: scalar,
      resource_class: scalar,
      total: scalar,
    },
    { requiredKeys: [] },
  ),
);

test('any body is taken or refused in words', async () => {
  const writes = placementService.routes.filter(({ method }) => method === 'PUT' || method === 'POST');
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...writes), body, names, minors, async ({ method, path }, sent, name, minor) => {
      const filled = path
        .replace(':uuid', id)
        .replace(/:(class|name)/, encodeURIComponent(name))
        .replace(':consumer', id);
      inWords(await call(method, filled, minor, sent));
    }),
    { numRuns: 600 },
  );
});
