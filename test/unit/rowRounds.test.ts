// Rows that are asked for in one moment are read in one statement, and each asker gets its own.
import { networks } from '../../controller/src/db/entities/network';
import { createRowRounds } from '../../controller/src/services/rowRounds';
import { makeNetwork } from '../support/computeFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let test1: TestCloud;
let test2: TestCloud;
beforeAll(async () => {
  [test1, test2] = [await startTestCloud(), await startTestCloud()];
  for (const third of [1, 2]) await makeNetwork(test1, 'demo', { third });
});
afterAll(() => Promise.all([test1.stop(), test2.stop()]));

const byProject = createRowRounds(networks, 'project_id', { order: { id: 'DESC' } });
const mtuById = createRowRounds(networks, 'id', { only: ['mtu'] });

test('those asked for in one moment come from one statement, in order', async () => {
  const { cloud, statements } = test1;
  const rows = await byProject(cloud, 'demo-project');
  expect(rows).toHaveLength(2);
  expect(rows).toEqual(await cloud.db.read((session) => session.find(networks, { order: { id: 'DESC' } })));
  statements.length = 0;
  const answers = await Promise.all(['demo-project', 'nobody', 'demo-project'].map((id) => byProject(cloud, id)));
  expect(answers).toEqual([rows, [], rows]);
  expect(statements).toHaveLength(1);
});

test('no more columns are read than wanted', async () => {
  const [network] = await byProject(test1.cloud, 'demo-project');
  const { id = '', mtu } = network ?? {};
  expect(await mtuById(test1.cloud, id)).toEqual([{ id, mtu }]);
});

test('each cloud is asked for its own, and what changed is seen by who asks after it', async () => {
  const { cloud } = test1;
  const [network] = await byProject(cloud, 'demo-project');
  const id = network?.id ?? '';
  expect(await Promise.all([mtuById(cloud, id), mtuById(test2.cloud, id)])).toEqual([[{ id, mtu: network?.mtu }], []]);
  await cloud.db.write((session) => session.update(networks, { id }, { mtu: 1234 }));
  expect(await mtuById(cloud, id)).toEqual([{ id, mtu: 1234 }]);
});
