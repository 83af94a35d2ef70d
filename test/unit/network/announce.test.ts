// New addresses of a router are announced; where that can't be done, the log says why, once per router and reason.
import { setImmediate } from 'node:timers/promises';
import { CommandError, silentLogger, type Exec, type RouterState } from '@cumulet/common';
import { createRouters } from '../../../network-agent/src/routers';

const NONE = new Map();
const state = (id: string, ...addresses: string[]): RouterState => ({
  kind: 'router',
  id,
  admin_state_up: true,
  interfaces: [
    { port_id: '11111111-0000-4000-8000-000000000000', network_id: 'n', mac: 'fa:16:3e:00:00:01', addresses },
  ],
  gateway: null,
  floating_ips: [],
  routes: [],
});

/** Routers on a host where everything succeeds but `arping`, which fails with these words. */
function routersWithout(words: () => string) {
  const announced: string[] = [];
  const warnings: unknown[] = [];
  const exec: Exec = async (argv) => {
    if (!argv.includes('arping')) return { stdout: '', stderr: '' };
    announced.push(argv.at(-1) ?? '');
    await setImmediate();
    throw new CommandError(argv, 127, '', words());
  };
  const log = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) };
  return { routers: createRouters(exec, 'cml', log), announced, warnings };
}

test('the reason is told once per router, however many addresses come', async () => {
  const missing = 'nsenter: failed to execute arping: No such file or directory\n';
  const { routers, announced, warnings } = routersWithout(() => missing);
  await routers.ensure(state('r1', '10.0.0.1/24', '10.0.1.1/24'), NONE, true, false);
  await routers.ensure(state('r2', '10.0.2.1/24'), NONE, true, false);
  await setImmediate();
  await routers.ensure(state('r1', '10.0.0.1/24', '10.0.1.1/24', '10.0.3.1/24'), NONE, true, false);
  await setImmediate();
  expect(announced).toEqual(expect.arrayContaining(['10.0.0.1', '10.0.1.1', '10.0.2.1', '10.0.3.1']));
  expect(warnings).toEqual([
    { router: 'r1', address: '10.0.0.1', error: missing.trim() },
    { router: 'r2', address: '10.0.2.1', error: missing.trim() },
  ]);
});

test('another reason is told as well', async () => {
  let words = 'first';
  const { routers, warnings } = routersWithout(() => words);
  await routers.ensure(state('r1', '10.0.0.1/24'), NONE, true, false);
  await setImmediate();
  words = 'second';
  await routers.ensure(state('r1', '10.0.1.1/24'), NONE, true, false);
  await setImmediate();
  expect(warnings).toMatchObject([{ error: 'first' }, { error: 'second' }]);
});

test('nothing is told of a router that was removed meanwhile', async () => {
  const { routers, announced, warnings } = routersWithout(() => 'Network is down');
  await routers.ensure(state('r1', '10.0.0.1/24'), NONE, true, false);
  routers.forget('r1');
  await setImmediate();
  expect(announced).toHaveLength(1);
  expect(warnings).toEqual([]);
});
