// Looks at single servers that come at the same moment: each gets its own answer, by its own rights, in the statements of one.
import { randomUUID } from 'node:crypto';
import type { Caller } from '../../controller/src/services/caller';
import { shownServer, type ShownServer } from '../../controller/src/services/compute/shownServers';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const mine: string[] = [];
let theirs = '';
const show = (id: string, token = 'demo'): Promise<Answer> =>
  cloud.call('GET', `/compute/v2.1/servers/${id}`, { token, headers: { 'x-openstack-nova-api-version': '2.79' } });

beforeAll(async () => {
  cloud = await startTestCloud();
  const imageRef = await makeImage(cloud);
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  await makeNetwork(cloud, 'demo');
  await makeNetwork(cloud, 'other', { project: 'other-project', third: 1 });
  await withoutQuota(cloud);
  const make = async (name: string, token: string): Promise<string> => {
    const body = { server: { name, flavorRef: 'small', imageRef } };
    const { id } = (await cloud.call('POST', '/compute/v2.1/servers', { body, token })).body.server as { id: string };
    await settle(cloud, id, { host: 'h1' });
    return id;
  };
  for (let at = 0; at < 12; at++) mine.push(await make(`mine-${at}`, 'demo'));
  theirs = await make('theirs', 'other');
});
afterAll(() => cloud.stop());

test('many at once show what each alone shows', async () => {
  const alone: unknown[] = [];
  for (const id of mine) alone.push((await show(id)).body);
  const together = await Promise.all(mine.map((id) => show(id)));
  expect(together.map(({ body }) => body as unknown)).toEqual(alone);
});

test('those that are asked for in one moment are read in the statements of one', async () => {
  const caller = { projectId: 'demo-project', isAdmin: false } as Caller;
  const look = (id: string): Promise<ShownServer> => shownServer(cloud.cloud, caller, id);
  cloud.statements.length = 0;
  const [alone] = await Promise.all(mine.slice(0, 1).map(look));
  const one = cloud.statements.length;
  const together = await Promise.allSettled([...mine, theirs].map(look));
  expect(cloud.statements).toHaveLength(2 * one);
  expect(together.map((answer) => answer.status === 'fulfilled' && answer.value.server.id)).toEqual([...mine, false]);
  expect(together[0]).toEqual({ status: 'fulfilled', value: alone });
});

test('a server is hidden from others also when its owner asks in the same moment', async () => {
  const [id = ''] = mine;
  const nobody = randomUUID();
  const asked = [
    [theirs, 'demo', 404],
    [theirs, 'other', 200],
    [id, 'other', 404],
    [id, 'demo', 200],
    [id, 'admin', 200],
    [theirs, 'admin', 200],
    [nobody, 'demo', 404],
    ['no-id', 'demo', 404],
  ] as const;
  const answers = await Promise.all(asked.map(([server, token]) => show(server, token)));
  expect(answers.map(({ status }) => status)).toEqual(asked.map(([, , status]) => status));
  const hidden = (await show(nobody)).body as unknown;
  expect(answers[0]?.body).toEqual(JSON.parse(JSON.stringify(hidden).replaceAll(nobody, theirs)));
  // What only administrators see stays theirs.
  expect(answers[3]?.body.server['OS-EXT-SRV-ATTR:host']).toBeUndefined();
  expect(answers[4]?.body.server['OS-EXT-SRV-ATTR:host']).toBe('h1');
});

test('a deleted server is gone at once, also for who asks together with others', async () => {
  const [first = '', second = '', ...rest] = mine;
  expect((await cloud.call('DELETE', `/compute/v2.1/servers/${first}`)).status).toBe(204);
  const answers = await Promise.all([first, second, ...rest].map((id) => show(id)));
  expect(answers[0]?.body.server['OS-EXT-STS:task_state']).toBe('deleting');
  expect(answers.slice(1).every(({ status }) => status === 200)).toBe(true);
});
