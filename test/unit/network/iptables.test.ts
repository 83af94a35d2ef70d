// What iptables and ipset are given, and what they say: only what differs is changed, and nobody else's is touched.
import { hostFilterChains, hostNatChains, jumps } from '../../../network-agent/src/firewall/host';
import { parseSets, remoteSets, renderSetChanges } from '../../../network-agent/src/firewall/ipset';
import { noTables, parseSave, renderRestore, type Tables } from '../../../network-agent/src/firewall/iptables';
import { groupSet } from '../../../network-agent/src/names';
import { rule, securityGroup } from '../../support/networkLab';

describe('iptables text', () => {
  const external = { bridge: 'cml-ext', address: '172.24.4.1/24' };
  const tables = (filter: [string, string[]][], nat: [string, string[]][] = []): Tables => ({
    filter: new Map(filter),
    nat: new Map(nat),
  });
  const saved = (text: string): ReturnType<typeof parseSave> => parseSave(text);

  test('changed chains are replaced, dead ones removed, others not named', () => {
    const before = tables([
      ['cumulet-a', ['-j ACCEPT']],
      ['cumulet-b', ['-j DROP']],
      ['cumulet-c', []],
    ]);
    const after = tables([
      ['cumulet-a', ['-j ACCEPT']],
      ['cumulet-b', ['-j ACCEPT']],
    ]);
    expect(renderRestore(before, after, [], saved(''))).toBe(
      ['*filter', ':cumulet-b - [0:0]', '-A cumulet-b -j ACCEPT', '-F cumulet-c', '-X cumulet-c', 'COMMIT', ''].join(
        '\n',
      ),
    );
    expect(renderRestore(after, after, [], saved(''))).toBe('');
  });

  test('jumps are put first once, moved back when they slipped, and left alone when in place', () => {
    const wanted = jumps(4, external);
    const none = renderRestore(
      noTables,
      noTables,
      wanted,
      saved('*filter\n:FORWARD DROP\n-A FORWARD -m comment\n-A FORWARD -j OTHER\nCOMMIT\n'),
    );
    expect(none).toContain(
      '-I FORWARD 1 -m physdev --physdev-is-bridged -j cumulet-forward\n-I FORWARD 2 -i cml-ext -j cumulet-routed',
    );
    expect(none).not.toContain('-D');
    const place = [
      '*filter',
      '-A FORWARD -m physdev --physdev-is-bridged -j cumulet-forward',
      '-A FORWARD -i cml-ext -j cumulet-routed',
      '-A FORWARD -o cml-ext -j cumulet-routed',
      '-A INPUT -i cml-ext -j cumulet-input',
      'COMMIT',
      '*nat',
      '-A POSTROUTING ! -o cml-ext -j cumulet-postrouting',
      'COMMIT',
    ].join('\n');
    expect(renderRestore(noTables, noTables, wanted, saved(place))).toBe('');
    const slipped = place.replace('-A FORWARD -m', '-A FORWARD -j DOCKER\n-A FORWARD -m');
    expect(renderRestore(noTables, noTables, wanted, saved(slipped))).toContain(
      '-D FORWARD -m physdev --physdev-is-bridged -j cumulet-forward',
    );
  });

  test('without a plan every trace goes: jumps first, then chains', () => {
    const text =
      '*filter\n:cumulet-forward - [0:0]\n-A FORWARD -g cumulet-forward\n-A FORWARD -j KEEP\n-A cumulet-forward -j RETURN\nCOMMIT\n*raw\n:cumulet-odd - [0:0]\nCOMMIT\n';
    expect(renderRestore(noTables, noTables, [], saved(text))).toBe(
      '*filter\n-D FORWARD -g cumulet-forward\n-F cumulet-forward\n-X cumulet-forward\nCOMMIT\n',
    );
  });

  test('what is saved is told apart: ours and everybody else’s', () => {
    const read = saved(
      '# comment\n*filter\n:INPUT ACCEPT [0:0]\n:cumulet-x - [0:0]\n-A INPUT -j A\n-A INPUT -m comment\n-A INPUT -j B\n-A cumulet-x -j ACCEPT\nCOMMIT\n',
    );
    expect([...read.chains.filter]).toEqual(['cumulet-x']);
    expect(read.builtin.get('filter INPUT')).toEqual(['-j A', '-m comment', '-j B']);
    expect(read.ours).toBe('filter -A cumulet-x -j ACCEPT');
  });

  test('the host’s own chains exist with an external bridge only', () => {
    expect(jumps(4, null)).toHaveLength(1);
    expect(jumps(6, external).map((jump) => jump.target)).toEqual(['cumulet-forward', 'cumulet-input']);
    expect(hostFilterChains(4, null, []).size + hostNatChains(null).size).toBe(0);
    expect(hostFilterChains(4, external, []).get('cumulet-input')).toEqual([
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-p 1 -j ACCEPT',
      '-j DROP',
    ]);
    expect(hostFilterChains(6, external, []).get('cumulet-input')?.[1]).toBe('-p 58 -j ACCEPT');
    expect(hostFilterChains(4, external, ['docker0']).get('cumulet-routed')?.[1]).toBe('-o docker0 -j RETURN');
    expect(hostNatChains(external).get('cumulet-postrouting')?.at(-1)).toBe('-s 172.24.4.0/24 -j MASQUERADE');
  });
});

describe('ipsets', () => {
  const remote = { ...securityGroup([]), members: ['10.0.0.5', 'fd00::5', '0.0.0.0/0', '::/0'] };
  const user = securityGroup([rule({ remote_group_id: remote.id }), rule({ remote_group_id: 'unknown' })]);

  test('a set per family and remote group; an unknown group admits nobody', () => {
    const sets = remoteSets([user], new Map([[remote.id, remote]]));
    expect(sets.size).toBe(4);
    expect([...(sets.get(groupSet(4, remote.id))?.members ?? [])]).toEqual(['10.0.0.5', '0.0.0.0/1', '128.0.0.0/1']);
    expect([...(sets.get(groupSet(6, remote.id))?.members ?? [])]).toEqual(['fd00::5', '::/1', '8000::/1']);
    expect(sets.get(groupSet(4, 'unknown'))?.members.size).toBe(0);
  });

  test('new members come before the rules, old ones go after', () => {
    const before = new Map([['cumulet4-a', { family: 4 as const, members: new Set(['10.0.0.1', '10.0.0.2']) }]]);
    const after = new Map([
      ['cumulet4-a', { family: 4 as const, members: new Set(['10.0.0.2', '10.0.0.3']) }],
      ['cumulet6-b', { family: 6 as const, members: new Set<string>() }],
    ]);
    expect(renderSetChanges(before, after)).toEqual({
      before: 'add cumulet4-a 10.0.0.3\ncreate cumulet6-b hash:net family inet6\n',
      after: 'del cumulet4-a 10.0.0.1\n',
    });
    expect(renderSetChanges(new Map(), before).before).toBe(
      'create cumulet4-a hash:net family inet\nadd cumulet4-a 10.0.0.1\nadd cumulet4-a 10.0.0.2\n',
    );
    expect(renderSetChanges(after, new Map()).after).toBe('destroy cumulet4-a\ndestroy cumulet6-b\n');
  });

  test('only our sets are read back', () => {
    const text =
      'create other hash:ip\nadd other 10.0.0.1\ncreate cumulet4-x hash:net family inet\nadd cumulet4-x 10.0.0.9\ncreate cumulet6-x hash:net family inet6\nadd cumulet4-y 1.1.1.1\nadd cumulet4-x\n';
    expect([...parseSets(text)]).toEqual([
      ['cumulet4-x', { family: 4, members: new Set(['10.0.0.9']) }],
      ['cumulet6-x', { family: 6, members: new Set() }],
    ]);
  });
});
