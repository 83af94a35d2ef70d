// Names on the host lead back to the resource they were made for.
import {
  bridgeMac,
  dhcpNamespace,
  groupChain,
  groupOfSet,
  groupSet,
  parseNamespace,
  portChain,
  routerNamespace,
  safeId,
} from '../../../network-agent/src/names';

const ID = '01234567-89ab-cdef-0123-456789abcdef';

test('a set’s name holds the whole group id within what the kernel allows', () => {
  expect(groupSet(4, ID).length).toBeLessThanOrEqual(31);
  expect(groupOfSet(groupSet(6, ID))).toBe(ID);
  expect(groupOfSet('somebody-else')).toBeUndefined();
});

test('chains fit the kernel’s limit and differ by direction', () => {
  const names = [portChain('i', ID), portChain('o', ID), groupChain('i', ID), groupChain('o', ID)];
  expect(new Set(names).size).toBe(4);
  for (const name of names) expect(name.length).toBeLessThanOrEqual(28);
});

test('an id that is no UUID still makes fixed names', () => {
  expect(portChain('i', 'port-1')).toBe(portChain('i', 'port-1'));
  expect(portChain('i', 'port-1')).not.toBe(portChain('i', 'port-2'));
});

test('a bridge’s MAC is local, unicast and fixed', () => {
  expect(bridgeMac(ID)).toBe('0e:01:23:45:67:89');
});

test('namespaces tell role and id, and only ours do', () => {
  expect(parseNamespace('cml', dhcpNamespace('cml', ID))).toEqual({ role: 'dhcp', id: ID });
  expect(parseNamespace('cml', routerNamespace('cml', ID))).toEqual({ role: 'router', id: ID });
  expect(parseNamespace('cml', `other-dhcp-${ID}`)).toBeUndefined();
});

test.each(['', 'a b', 'x\ny', '-j', '"', 'a'.repeat(65)])('%j may not stand in a rule', (id) => {
  expect(() => safeId(id)).toThrow("can't be the id");
});

test('an id with a counter may', () => {
  expect(safeId(`${ID}.3`)).toBe(`${ID}.3`);
});
