// Which interfaces a running guest gets and gives up, and whether it is the same guest after a plan.
import { interfaceName } from '@cumulet/common';
import { parseLiveDomain } from '../../compute-agent/src/liveDomain';
import type { DomainAction } from '../../compute-agent/src/domainPlan';
import {
  interfacePlan,
  keepsRunning,
  type DesiredInterface,
  type LiveInterface,
} from '../../compute-agent/src/interfacePlan';

const PORTS = ['7c2f1ad4-0000-4000-8000-000000000001', '9d3e2be5-0000-4000-8000-000000000002'] as const;
const wanted = (port: string): DesiredInterface => ({ port_id: port, mac: 'fa:16:3e:00:00:01', mtu: 1450 });
const live = (port: string): LiveInterface => ({ device: interfaceName('tap', port), alias: `net-${port.at(-1)}` });

test.each<[string, DesiredInterface[], LiveInterface[], { unplug: LiveInterface[]; plug: DesiredInterface[] }]>([
  ['is left alone when it has what it should', [wanted(PORTS[0])], [live(PORTS[0])], { unplug: [], plug: [] }],
  ['gets what is missing', PORTS.map(wanted), [live(PORTS[0])], { unplug: [], plug: [wanted(PORTS[1])] }],
  ['gives up what is too much', [], [live(PORTS[0])], { unplug: [live(PORTS[0])], plug: [] }],
  [
    'changes one for another',
    [wanted(PORTS[1])],
    [live(PORTS[0])],
    { unplug: [live(PORTS[0])], plug: [wanted(PORTS[1])] },
  ],
  [
    'gives up an interface that nobody asked for',
    [wanted(PORTS[0])],
    [live(PORTS[0]), { device: 'vnet7', alias: 'net7' }],
    { unplug: [{ device: 'vnet7', alias: 'net7' }], plug: [] },
  ],
])('a guest %s', (_, desired, present, plan) => {
  expect(interfacePlan(desired, present)).toEqual(plan);
});

test.each<[DomainAction[], boolean]>([
  [[], true],
  [['define', 'pause'], true],
  [['resume'], true],
  [['define', 'start'], false],
  [['shutdown', 'start'], false],
  [['save'], false],
])('after %j it is the same guest: %s', (actions, same) => {
  expect(keepsRunning(actions)).toBe(same);
});

describe('the interfaces of a running domain', () => {
  const interfacesOf = (devices: string) => parseLiveDomain(`<domain>${devices}</domain>`).interfaces;

  test('are read with their taps and names, also a single one and one that has neither', () => {
    const card = "<interface type='ethernet'><target dev='tap1'/><alias name='net0'/></interface>";
    expect(interfacesOf(`<devices>${card}</devices>`)).toEqual([{ device: 'tap1', alias: 'net0' }]);
    expect(interfacesOf(`<devices>${card}<interface type='user'/><disk/></devices>`)).toEqual([
      { device: 'tap1', alias: 'net0' },
      { device: '', alias: '' },
    ]);
  });

  test.each(['', '<devices/>', '<devices><disk/></devices>'])('are none in %j', (devices) => {
    expect(interfacesOf(devices)).toEqual([]);
  });

  test('of what is no domain are none, and it has no mark', () => {
    expect(parseLiveDomain('<network/>')).toEqual({ interfaces: [], mark: undefined });
  });
});
