// Applying rules: what differs only, everything when the kernel is not as it was left, and blame for the one who deserves it.
import { CommandError, silentLogger, type Exec } from '@cumulet/common';
import { createRuleset, RefusedRules } from '../../../network-agent/src/ruleset';
import { planRules, type RulesPlan } from '../../../network-agent/src/rulesPlan';
import { applyChanges, nothingDesired } from '../../../network-agent/src/desired';
import { rule, securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

const network = tenantNetwork();
const group = securityGroup([rule({ id: 'odd-rule', protocol: 'tcp', port_range_min: 22, port_range_max: 22 })]);
const remote = securityGroup([rule({ remote_group_id: group.id })]);
const port = serverPort(network, '10.0.0.5', [group.id]);
const user = serverPort(network, '10.0.0.6', [remote.id]);

/** Nobody tells of changes: what is to be known must be read. */
const unwatched = { quiet: () => false };

function planOf(...ports: (typeof port)[]): RulesPlan {
  const desired = applyChanges(nothingDesired, {
    sequence: 1,
    reload: true,
    objects: [network, group, remote, ...ports],
    gone: [],
  });
  return planRules(
    {
      zones: new Map([['brx', 20000]]),
      ports,
      veths: [],
      isolated: new Set(),
      external: null,
      foreignBridges: [],
      tunnels: [],
    },
    desired,
  );
}

/** A kernel that remembers what it was asked, and refuses input that contains some text. */
function kernel() {
  const calls: { command: string; input: string }[] = [];
  const state = { refuse: '', refuseOnce: '', saved: '' };
  const exec: Exec = (argv, options) => {
    const call = { command: argv.join(' '), input: options?.input ?? '' };
    calls.push(call);
    const refuse = state.refuseOnce !== '' && call.input.includes(state.refuseOnce);
    if (refuse) state.refuseOnce = '';
    if (refuse || (state.refuse !== '' && call.input.includes(state.refuse))) {
      return Promise.reject(new CommandError(argv, 1, '', 'Invalid argument'));
    }
    return Promise.resolve({ stdout: call.command.endsWith('-save') ? state.saved : '', stderr: '' });
  };
  const commands = (): string[] => calls.splice(0).map(({ command }) => command);
  return { exec, calls, commands, state };
}

test('the first apply replaces everything in one call a tool, the next one does what differs, an equal one nothing', async () => {
  const { exec, calls, commands } = kernel();
  const ruleset = createRuleset(exec, silentLogger, unwatched);
  await ruleset.apply(planOf(port));
  const whole = calls.find(({ command }) => command === 'nft -f -')?.input ?? '';
  expect(whole).toContain('delete table inet cumulet');
  expect(commands().sort()).toEqual(
    [
      'ip6tables-restore --noflush -w',
      'ip6tables-save',
      'ipset save',
      'iptables-restore --noflush -w',
      'iptables-save',
      'nft -f -',
    ].sort(),
  );
  await ruleset.apply(planOf(port));
  expect(commands()).toEqual([]);
  await ruleset.apply(planOf(port, user));
  expect(calls.find(({ command }) => command === 'nft -f -')?.input).not.toContain('delete table');
  const order = commands();
  expect(order[0]).toBe('ipset -exist restore');
  expect(order).not.toContain('iptables-save');
  await ruleset.apply(planOf(port));
  expect(commands().at(-1)).toBe('ipset -exist restore');
});

test('a change that fails is tried again as a whole before anybody is blamed', async () => {
  const { exec, calls, commands, state } = kernel();
  const ruleset = createRuleset(exec, silentLogger, unwatched);
  await ruleset.apply(planOf(port));
  commands();
  state.refuseOnce = 'add rule bridge cumulet';
  await ruleset.apply(planOf(port, user));
  const tries = calls
    .filter(({ command }) => command === 'nft -f -')
    .map(({ input }) => input.includes('delete table'));
  expect(tries).toEqual([false, true]);
});

test('a security group that the kernel refuses is named, found without applying anything', async () => {
  const { exec, calls, state } = kernel();
  state.refuse = 'odd-rule';
  const failure = await createRuleset(exec, silentLogger, unwatched)
    .apply(planOf(port, user))
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RefusedRules);
  expect([...(failure as RefusedRules).refused]).toEqual([[group.id, 'Invalid argument']]);
  const tried = calls.filter(({ command }) => command.includes('--test'));
  expect(tried).toHaveLength(4);
});

test('a port whose addresses the kernel refuses is named', async () => {
  const { exec, state } = kernel();
  state.refuse = 'ip saddr { 10.0.0.6 }';
  const failure = await createRuleset(exec, silentLogger, unwatched)
    .apply(planOf(port, user))
    .catch((error: unknown) => error);
  expect([...(failure as RefusedRules).refused.keys()]).toEqual([user.id]);
});

test('a failure that nobody is to blame for is what it is', async () => {
  const { exec, state } = kernel();
  state.refuse = 'cumulet-forward';
  await expect(createRuleset(exec, silentLogger, unwatched).apply(planOf(port))).rejects.toBeInstanceOf(CommandError);
  const broken: Exec = () => Promise.reject(new Error('no such tool'));
  await expect(createRuleset(broken, silentLogger, unwatched).apply(planOf(port))).rejects.toThrow('no such tool');
});

test('a comparison looks again after changes, then only acts when somebody else touched our rules', async () => {
  const { exec, commands, state } = kernel();
  const ruleset = createRuleset(exec, silentLogger, unwatched);
  await ruleset.verify('glance');
  expect(commands()).toEqual([]);
  await ruleset.apply(planOf(port));
  await ruleset.verify('glance');
  commands();
  await ruleset.verify('glance');
  expect(commands().filter((command) => command.includes('restore'))).toEqual([]);
  state.saved = '*filter\n-A FORWARD -j cumulet-forward\n-A cumulet-forward -j DROP\nCOMMIT\n';
  await ruleset.verify('glance');
  expect(commands().filter((command) => command.includes('iptables-restore'))).toHaveLength(1);
});

test('while the watch hears of nothing a glance reads the sets only; a comparison reads all, and so does what follows a change', async () => {
  const { exec, commands } = kernel();
  const watch = { heard: false, quiet: () => !watch.heard };
  const ruleset = createRuleset(exec, silentLogger, watch);
  const everything = [
    'iptables-save',
    'ip6tables-save',
    'nft -s list table inet cumulet',
    'nft -s list table bridge cumulet',
    'ipset save',
  ];
  await ruleset.apply(planOf(port));
  commands();
  await ruleset.verify('glance');
  expect(commands()).toEqual(expect.arrayContaining(everything));
  await ruleset.verify('glance');
  expect(commands()).toEqual(['ipset save']);
  await ruleset.verify('read');
  expect(commands().sort()).toEqual([...everything].sort());
  watch.heard = true;
  await ruleset.verify('glance');
  expect(commands().sort()).toEqual([...everything].sort());
});

test('everything of ours is removed, and nothing when there is nothing', async () => {
  const { exec, calls, state } = kernel();
  state.saved = '*filter\n:cumulet-x - [0:0]\n-A FORWARD -j cumulet-x\nCOMMIT\n';
  await createRuleset(exec, silentLogger, unwatched).remove();
  expect(calls.find(({ command }) => command.startsWith('iptables-restore'))?.input).toBe(
    '*filter\n-D FORWARD -j cumulet-x\n-F cumulet-x\n-X cumulet-x\nCOMMIT\n',
  );
  const clean = kernel();
  await createRuleset(clean.exec, silentLogger, unwatched).remove();
  expect(clean.commands()).not.toContain('iptables-restore --noflush -w');
});
