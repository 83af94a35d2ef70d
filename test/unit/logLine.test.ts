// Lines of the log as people read them, and which ids they name.
import { logLine, mentions } from '../../cli/src/logLine';

const line = (fields: object): string =>
  JSON.stringify({ level: 30, time: '2026-11-27T08:05:29.340Z', component: 'network-agent', ...fields });

test.each([
  [
    { task: 't-1', actions: ['define', 'start'], request_id: 'req-1', seconds: 0.5, msg: 'command carried out' },
    '2026-11-27T08:05:29.340Z info  network-agent command carried out task=t-1 actions=["define","start"] seconds=0.5 [req-1]',
  ],
  [
    { level: 60, err: { type: 'Error', message: 'no room' }, msg: 'the process ends' },
    '2026-11-27T08:05:29.340Z fatal network-agent the process ends err="no room"',
  ],
  [{ level: 35, note: null, empty: '' }, '2026-11-27T08:05:29.340Z 35    network-agent note=null empty=""'],
])('%j', (fields, words) => expect(logLine(line(fields))).toBe(words));

test.each(['cumulet-standalone: listen: no such key', '{"not": "ours"}', '7', 'null', ''])(
  'what is not ours stays as it is: %s',
  (text) => expect(logLine(text)).toBe(text),
);

test('a line names whole ids only', () => {
  const ids = new Set(['req-1', 'a-b']);
  expect(mentions(line({ request_id: 'req-1' }), ids)).toBe(true);
  expect(mentions(line({ name: '/disks/a-b/root' }), ids)).toBe(true);
  expect(mentions(line({ request_id: 'req-12' }), ids)).toBe(false);
  expect(mentions('', ids)).toBe(false);
});
