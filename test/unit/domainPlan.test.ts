// What the compute agent decides to do with a domain: desired state and observed state to actions, row by row.
import type { PowerTarget } from '@cumulet/common';
import type { DomainStateName } from '@cumulet/libvirt';
import type { Mark } from '../../compute-agent/src/domainMark';
import { domainPlan, type DesiredDomain, type ObservedDomain } from '../../compute-agent/src/domainPlan';

const mark = (changes: Partial<Mark> = {}): Mark => ({
  serverId: 's',
  projectId: 'p',
  generation: 1,
  definition: 'd1',
  reboot: null,
  ...changes,
});
const want = (power: PowerTarget, changes: Partial<DesiredDomain> = {}): DesiredDomain => ({
  power,
  reboot: null,
  redefine: false,
  generation: 1,
  definition: 'd1',
  ...changes,
});
/** A domain in a state, defined (and started) from what is wanted unless told. */
const is = (state: DomainStateName, changes: Partial<ObservedDomain> = {}): ObservedDomain => ({
  state,
  managedSave: false,
  config: mark(),
  live: state === 'shut-off' ? undefined : mark(),
  ...changes,
});
const saved = is('shut-off', { managedSave: true });
const soft = { nonce: 'n', type: 'soft' } as const;
const hard = { nonce: 'n', type: 'hard' } as const;
const rebooted = mark({ reboot: 'n' });

test.each<[string, DesiredDomain, ObservedDomain | undefined, string[]]>([
  ['running: nothing there', want('running'), undefined, ['define', 'start']],
  ['running: off', want('running'), is('shut-off'), ['start']],
  ['running: no state at all', want('running'), is('none'), ['start']],
  ['running: memory saved', want('running'), saved, ['start']],
  ['running: runs', want('running'), is('running'), []],
  ['running: runs, waits for a resource', want('running'), is('blocked'), []],
  ['running: paused', want('running'), is('paused'), ['resume']],
  ['running: shutting down', want('running'), is('shutting-down'), ['shutdown', 'start']],
  ['running: crashed', want('running'), is('crashed'), ['destroy', 'start']],
  ['running: asleep', want('running'), is('pm-suspended'), ['destroy', 'start']],

  ['paused: nothing there', want('paused'), undefined, ['define', 'start-paused']],
  ['paused: off', want('paused'), is('shut-off'), ['start-paused']],
  ['paused: runs', want('paused'), is('running'), ['pause']],
  ['paused: paused', want('paused'), is('paused'), []],
  ['paused: crashed', want('paused'), is('crashed'), ['destroy', 'start-paused']],

  ['unchanged: nothing there', want('unchanged'), undefined, ['define']],
  ['unchanged: off', want('unchanged'), is('shut-off'), []],
  ['unchanged: runs', want('unchanged'), is('running'), []],
  ['unchanged: memory saved', want('unchanged'), saved, []],

  ['shutdown: nothing there', want('shutdown'), undefined, ['define']],
  ['shutdown: off', want('shutdown'), is('shut-off'), []],
  ['shutdown: memory saved', want('shutdown'), saved, ['discard-saved']],
  ['shutdown: runs', want('shutdown'), is('running'), ['shutdown']],
  ['shutdown: shutting down already', want('shutdown'), is('shutting-down'), ['shutdown']],
  ['shutdown: paused, so it can not answer', want('shutdown'), is('paused'), ['destroy']],
  ['shutdown: crashed', want('shutdown'), is('crashed'), ['destroy']],

  ['suspended: runs', want('suspended'), is('running'), ['save']],
  ['suspended: paused', want('suspended'), is('paused'), ['save']],
  ['suspended: asleep', want('suspended'), is('pm-suspended'), ['save']],
  ['suspended: memory saved', want('suspended'), saved, []],

  [
    'another definition, runs: defined for the next start',
    want('running', { definition: 'd2' }),
    is('running'),
    ['define'],
  ],
  ['another definition, off', want('running', { definition: 'd2' }), is('shut-off'), ['define', 'start']],
  [
    'another definition, memory saved: it comes back first',
    want('running', { definition: 'd2' }),
    saved,
    ['define', 'start'],
  ],
  ['no mark: defined', want('running'), is('shut-off', { config: undefined }), ['define', 'start']],
  ['a new generation alone changes nothing', want('running', { generation: 2 }), is('running'), []],

  [
    'redefine, runs: restarted',
    want('running', { redefine: true, generation: 2 }),
    is('running'),
    ['define', 'destroy', 'start'],
  ],
  [
    'redefine, runs without our mark',
    want('running', { redefine: true }),
    is('running', { live: undefined }),
    ['destroy', 'start'],
  ],
  [
    'redefine, killed after define',
    want('running', { redefine: true, generation: 2 }),
    is('running', { config: mark({ generation: 2 }) }),
    ['destroy', 'start'],
  ],
  [
    'redefine, done already',
    want('running', { redefine: true, generation: 2 }),
    is('running', { config: mark({ generation: 2 }), live: mark({ generation: 2 }) }),
    [],
  ],
  ['redefine, off', want('running', { redefine: true, generation: 2 }), is('shut-off'), ['define', 'start']],
  [
    'redefine, memory saved: it is not wanted back',
    want('running', { redefine: true, generation: 2 }),
    saved,
    ['discard-saved', 'define', 'start'],
  ],
  [
    'redefine, to stay off, memory saved',
    want('shutdown', { redefine: true, generation: 2 }),
    saved,
    ['discard-saved', 'define'],
  ],

  ['soft reboot', want('running', { reboot: soft }), is('running'), ['define', 'shutdown', 'start']],
  [
    'soft reboot of a paused guest cuts the power',
    want('running', { reboot: soft }),
    is('paused'),
    ['define', 'destroy', 'start'],
  ],
  ['hard reboot', want('running', { reboot: hard }), is('running'), ['define', 'destroy', 'start']],
  [
    'reboot, killed after define',
    want('running', { reboot: hard }),
    is('running', { config: rebooted }),
    ['destroy', 'start'],
  ],
  [
    'soft reboot, killed after the guest was off',
    want('running', { reboot: soft }),
    is('shut-off', { config: rebooted }),
    ['start'],
  ],
  ['reboot, done already', want('running', { reboot: soft }), is('running', { config: rebooted, live: rebooted }), []],
  [
    'reboot done earlier, memory saved since',
    want('running', { reboot: soft }),
    { ...saved, config: rebooted },
    ['start'],
  ],
  [
    'reboot of a server whose memory is saved',
    want('running', { reboot: hard }),
    saved,
    ['discard-saved', 'define', 'start'],
  ],
  ['reboot, nothing there', want('running', { reboot: hard }), undefined, ['define', 'start']],
  ['reboot of a server that is to stay off', want('shutdown', { reboot: hard }), is('shut-off'), ['define']],
])('%s', (_, desired, observed, actions) => {
  expect(domainPlan(desired, observed)).toEqual(actions);
});

test.each<[string, ObservedDomain | undefined]>([
  ['there is none', undefined],
  ['it is off', is('shut-off')],
  ['it crashed', is('crashed')],
])('a server can not be suspended when %s', (_, observed) => {
  expect(() => domainPlan(want('suspended'), observed)).toThrow(expect.objectContaining({ code: 'not_running' }));
});
