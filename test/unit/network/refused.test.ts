// Who is to blame when the kernel refuses rules: each group and each port is tried alone.
import { CommandError, type Exec } from '@cumulet/common';
import { closedFrames } from '../../../network-agent/src/firewall/antispoof';
import { findRefused } from '../../../network-agent/src/refused';
import { noRules, type RulesPlan } from '../../../network-agent/src/rulesPlan';

const PORT = '7c2f1ad4-0000-4000-8000-000000000001';
const chains = new Map([['cumulet-g1', ['-p tcp -j cumulet-ok']]]);
const plan: RulesPlan = {
  ...noRules,
  frames: { ...noRules.frames, ports: new Map([[PORT, closedFrames]]) },
  tables: { 4: { filter: chains, nat: new Map() }, 6: { filter: new Map(), nat: new Map() } },
  groupChains: new Map([['g1', ['cumulet-g1']]]),
};

/** A host that refuses the given tools with these words. */
const host = (refusals: Readonly<Record<string, string>>): { exec: Exec; calls: [readonly string[], string][] } => {
  const calls: [readonly string[], string][] = [];
  const exec: Exec = (argv, options) => {
    calls.push([argv, options?.input ?? '']);
    const stderr = refusals[argv[0] ?? ''];
    return stderr === undefined
      ? Promise.resolve({ stdout: '', stderr: '' })
      : Promise.reject(new CommandError(argv, 1, '', stderr));
  };
  return { exec, calls };
};

test('nobody is to blame when everything is taken alone, and nothing is applied by trying', async () => {
  const { exec, calls } = host({});
  expect(await findRefused(exec, plan)).toEqual(new Map());
  expect(calls.map(([argv]) => argv.join(' '))).toEqual([
    'iptables-restore --noflush -w --test',
    'ip6tables-restore --noflush -w --test',
    'nft -c -f -',
  ]);
  expect(calls[0]?.[1]).toContain(':cumulet-g1 - [0:0]\n-A cumulet-g1 -p tcp -j cumulet-ok\n');
});

test('a refused group and a refused port are named with the words of the tool', async () => {
  const { exec } = host({ 'iptables-restore': 'unknown option\n', nft: 'bad mac\n' });
  expect(await findRefused(exec, plan)).toEqual(
    new Map([
      ['g1', 'unknown option'],
      [PORT, 'bad mac'],
    ]),
  );
});

test('a tool that refuses without a word is quoted with its exit code', async () => {
  const { exec } = host({ nft: ' ' });
  expect((await findRefused(exec, plan)).get(PORT)).toBe('nft -c -f -: exit code 1');
});

test('another failure than a refusal blames nobody', async () => {
  const exec: Exec = () => Promise.reject(new Error('too many open files'));
  await expect(findRefused(exec, plan)).rejects.toThrow('too many open files');
});
