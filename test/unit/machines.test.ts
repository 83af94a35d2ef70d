// How the play on three machines reads the documentation: a block that it does not understand must not be left out.
import { blocksOf, CTL, HOSTS, textOn } from '../machines/documentation';

const other = { prefix: '10.99.7', interface: 'host0', repository: '/srv/cumulet.git' };
const section = (block: string): string =>
  `\n### Here\n\nText.\n\n\`\`\`sh\n${block}\`\`\`\n\n### There\n\n\`\`\`sh\nnothing\n\`\`\`\n`;

test('each block of the documented section is for machines that are there, files before the commands that need them', () => {
  const blocks = blocksOf('Setting it up');
  const names = blocks.map(({ what }) => what);
  expect(names.indexOf('/etc/cumulet/controller.yaml')).toBeLessThan(names.indexOf('controller'));
  expect(names.indexOf('/etc/cumulet/network-agent.yaml')).toBeLessThan(names.indexOf('agents'));
  for (const { places, text } of blocks) {
    expect([[CTL], HOSTS]).toContainEqual(places);
    expect(text).not.toBe('');
  }
});

test('a block ends with its section, and one that does not say where it belongs is refused', () => {
  expect(blocksOf('Here', section('# on ctl: look\nls\n'))).toEqual([
    { what: 'look', places: [CTL], kind: 'commands', text: 'ls\n' },
  ]);
  expect(() => blocksOf('Here', section('ls\n'))).toThrow('begins with "ls"');
  expect(() => blocksOf('Here', section('# on node-3: look\nls\n'))).toThrow('which machine "node-3" is');
  expect(() => blocksOf('Elsewhere', section(''))).toThrow('no section "Elsewhere"');
});

test("the first host's file is the other one's with its own address; commands name both hosts as they are", () => {
  const [first, second] = HOSTS;
  const file = 'address: 10.0.0.31\ncontrollers: [10.0.0.5] # of node-1 on eth0\n';
  expect(textOn(second, { kind: 'file' }, file, other)).toBe(
    'address: 10.99.7.32\ncontrollers: [10.99.7.5] # of node-2 on host0\n',
  );
  expect(textOn(first, { kind: 'file' }, file, other)).toContain('address: 10.99.7.31');
  expect(textOn(second, { kind: 'commands' }, 'ping node-1\n', other)).toBe('ping node-1\n');
});
