// What `up --floating-range` makes of the configuration.
import { withLanAddresses } from '../../../cli/src/up/lanAddresses';

const BASE = '# mine\nlisten: 127.0.0.1:5000\n';
const lan = { interface: 'eth0', range: '10.0.0.7-10.0.0.9' };
const none = { interface: '', range: '' };

test('a range is added beside everything else, changed, and gone when it is left out', () => {
  const text = withLanAddresses(BASE, lan);
  expect(text).toBe(`${BASE}floating:\n  interface: eth0\n  range: 10.0.0.7-10.0.0.9\n`);
  expect(withLanAddresses(text, lan)).toBe(text);
  expect(withLanAddresses(text, { ...lan, range: '10.0.0.8-10.0.0.9' })).toContain('range: 10.0.0.8-10.0.0.9');
  expect(withLanAddresses(text, none)).toBe(BASE);
  expect(withLanAddresses(BASE, none)).toBe(BASE);
});

test.each([
  ['interface', { ...none, interface: 'eth0' }],
  ['range', { ...none, range: '10.0.0.7-10.0.0.9' }],
])('%s alone is half of it', (_, options) => {
  expect(() => withLanAddresses(BASE, options)).toThrow(/go together/);
});

test('what is no configuration is left to the check of it', () => {
  expect(withLanAddresses('- a\n', lan)).toBe('- a\n');
});
