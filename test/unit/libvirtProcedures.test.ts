// The table of procedures against all names and numbers that libvirt 11.3.0 knows.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { events } from '../../libvirt/src/events';
import { Program } from '../../libvirt/src/packet';
import { procedures } from '../../libvirt/src/procedures';

const facts = join(__dirname, '../support/libvirtProcedures.json');
const { remote, qemu } = JSON.parse(readFileSync(facts, 'utf8')) as Record<'remote' | 'qemu', Record<string, number>>;

test('the list of facts is whole', () => {
  expect(Object.keys(remote)).toHaveLength(453);
  expect(new Set(Object.values(remote)).size).toBe(453);
});

test.each(Object.values(procedures))('$name has the number that libvirt gave it', ({ name, number, program }) => {
  if (program === Program.QEMU) expect(number).toBe(qemu[name.replace(/^QEMU_/, '')]);
  else expect(number).toBe(remote[name]);
});

test.each([
  ['lifecycle', 'DOMAIN_EVENT_CALLBACK_LIFECYCLE'],
  ['reboot', 'DOMAIN_EVENT_CALLBACK_REBOOT'],
  ['watchdog', 'DOMAIN_EVENT_CALLBACK_WATCHDOG'],
  ['ioError', 'DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON'],
  ['deviceRemoved', 'DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED'],
  ['deviceRemovalFailed', 'DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED'],
  ['deviceAdded', 'DOMAIN_EVENT_CALLBACK_DEVICE_ADDED'],
  ['blockJob', 'DOMAIN_EVENT_BLOCK_JOB_2'],
  ['jobCompleted', 'DOMAIN_EVENT_CALLBACK_JOB_COMPLETED'],
  ['agentLifecycle', 'DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE'],
  ['migrationIteration', 'DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION'],
  ['metadataChange', 'DOMAIN_EVENT_CALLBACK_METADATA_CHANGE'],
] as const)('the %s event arrives as %s', (key, name) => {
  expect(events[key].message).toBe(remote[name]);
});

test('no two events share an id or a message', () => {
  const all = Object.values(events);
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  expect(new Set(all.map(({ message }) => message)).size).toBe(all.length);
});
