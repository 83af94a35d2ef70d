// A cloud with one host, as administrators change it through the placement API.
import { randomUUID } from 'node:crypto';
import { createMemoryBus } from '@cumulet/common';
import { agents, allocations, hosts } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost } from './computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from './testCloud';

export interface PlacementScene {
  readonly cloud: TestCloud;
  /** Of the host h1, which each test gets anew. */
  readonly id: string;
  readonly call: (method: string, path: string, body?: unknown, version?: string) => Promise<Answer>;
  readonly status: (method: string, path: string, body?: unknown, version?: string) => Promise<number>;
  /** The host's. */
  readonly generation: () => Promise<number>;
  /** The reasons that the scheduler gives for a flavor, by host. */
  readonly explain: (flavor: string) => Promise<Record<string, string | null>>;
  /** A flavor that no other test has; its id. */
  readonly flavor: (more?: object, specs?: Record<string, string>) => Promise<string>;
}

/** The id of nobody. */
export const NOBODY = '00000000-0000-4000-8000-000000000000';

/** To be called at the beginning of a file of tests. */
export function placementScene(): PlacementScene {
  let cloud: TestCloud;
  let id: string;

  beforeAll(async () => {
    cloud = await startTestCloud({ bus: createMemoryBus() });
  });
  afterAll(() => cloud.stop());
  beforeEach(async () => {
    await makeHost(cloud, 'h1');
    id = (await cloud.cloud.db.read((session) => session.findOne(hosts, { name: 'h1' })))?.id ?? '';
  });
  afterEach(() =>
    cloud.cloud.db.write(async (session) => {
      for (const name of ['h1', 'h2']) {
        await session.delete(hosts, { name });
        await session.delete(agents, { host: name });
        await session.delete(allocations, { host: name });
      }
    }),
  );

  const call = (method: string, path: string, body?: unknown, version = '1.39'): Promise<Answer> =>
    cloud.call(method, `/placement${path}`, {
      token: 'admin',
      headers: { 'openstack-api-version': `placement ${version}` },
      ...(body === undefined ? {} : { body }),
    });
  const status = async (...request: Parameters<typeof call>): Promise<number> => (await call(...request)).status;
  const generation = async (): Promise<number> => (await call('GET', `/resource_providers/${id}`)).body.generation;
  async function explain(flavor: string): Promise<Record<string, string | null>> {
    const answer = await cloud.call('POST', '/cumulet/v1/placement', { token: 'admin', body: { flavor } });
    return Object.fromEntries(
      answer.body.hosts.map((one: { host: string; reason: string | null }) => [one.host, one.reason]),
    );
  }
  const flavor = async (more: object = {}, specs?: Record<string, string>): Promise<string> => {
    const name = await makeFlavor(cloud, randomUUID(), more);
    const body = { extra_specs: specs };
    if (specs) await cloud.call('POST', `/compute/v2.1/flavors/${name}/os-extra_specs`, { token: 'admin', body });
    return name;
  };
  return {
    get cloud() {
      return cloud;
    },
    get id() {
      return id;
    },
    call,
    status,
    generation,
    explain,
    flavor,
  };
}
