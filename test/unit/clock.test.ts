// When a process' ticks are.
import { untilTick } from '@cumulet/common';

test.each([
  ['at a tick', 4_000, 1_000],
  ['a little late', 4_003, 997],
  ['a little early, as timers may be: not twice', 3_999, 1_001],
  ['before the middle', 4_499, 501],
  ['after the middle', 4_501, 1_499],
])('%s', (_name, now, wait) => {
  expect(untilTick(1_000, now)).toBe(wait);
  expect((now + wait) % 1_000).toBe(0);
});

test('what comes every second and what comes every five meet', () => {
  const now = 123_456.789;
  expect(((now + untilTick(5_000, now)) % 1_000).toFixed(6)).toBe('0.000000');
});
