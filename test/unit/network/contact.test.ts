// When a host's routers go out of service because no controller hears it, and when they come back.
import { AGENT_TIMEOUT_MS, CumuletError } from '@cumulet/common';
import { createContact } from '../../../network-agent/src/contact';

let now: number;
const scene = () => {
  now = 100;
  return createContact(() => now);
};
const after = (milliseconds: number): void => void (now += milliseconds);
const unanswered = new CumuletError('unreachable', 'nothing heard', { refused: false });
const refused = new CumuletError('unreachable', 'connection refused', { refused: true });

test('movable routers are withdrawn before their host counts as down, once', () => {
  const contact = scene();
  contact.taken(now, { movable_routers: ['r1', 'r2'] });
  after(AGENT_TIMEOUT_MS - 2_001);
  contact.missed(unanswered);
  expect([contact.isLost([]), [...contact.withdrawn]]).toEqual([false, []]);
  after(1);
  expect([contact.isLost([]), contact.isLost([]), [...contact.withdrawn]]).toEqual([true, false, ['r1', 'r2']]);
});

test('a heartbeat counts from when it was sent, and a registration counts too but tells nothing of routers', () => {
  const contact = scene();
  contact.taken(now, { movable_routers: ['r1'] });
  after(6_000);
  contact.taken(now - 3_000);
  after(4_999);
  expect(contact.isLost([])).toBe(false);
  after(1);
  expect(contact.isLost([])).toBe(true);
});

test('they are in service again once a controller has heard the host and told its routers, in this order', () => {
  const contact = scene();
  contact.taken(now, { movable_routers: ['r1'] });
  after(AGENT_TIMEOUT_MS);
  expect([contact.restore(now), contact.isLost([]), contact.restore(now)]).toEqual([false, true, false]);
  const early = now;
  after(1);
  contact.taken(now, { movable_routers: [] });
  expect([...contact.withdrawn]).toEqual(['r1']);
  expect(contact.restore(early)).toBe(false);
  expect([contact.restore(now), [...contact.withdrawn], contact.restore(now)]).toEqual([true, [], false]);
});

test('nothing is withdrawn where no other host could take it, nor before the first word of a controller', () => {
  const contact = scene();
  after(1_000_000);
  expect(contact.isLost([])).toBe(false);
  for (const heard of [undefined, {}, { movable_routers: [] }]) {
    contact.taken(now, heard);
    after(1_000_000);
    expect(contact.isLost([])).toBe(false);
  }
});

test('controllers that do not run move nothing; one that can not be asked may', () => {
  const contact = scene();
  contact.taken(now, { movable_routers: ['r1'] });
  contact.missed(refused);
  after(1_000_000);
  expect(contact.isLost([])).toBe(false);
  contact.missed(new Error('out of memory'));
  expect(contact.isLost([])).toBe(true);
});

test('a router that came after the last heartbeat is withdrawn too, because nobody has said that no other host may take it', () => {
  const contact = scene();
  contact.taken(now, { movable_routers: [] });
  expect(contact.isLost(['early'])).toBe(false);
  after(1);
  contact.taken(now, { movable_routers: ['moves'] });
  after(1);
  expect(contact.isLost(['early', 'moves', 'late', 'gone'])).toBe(false);
  after(1);
  // A registration tells nothing of routers.
  contact.taken(now);
  after(AGENT_TIMEOUT_MS);
  expect(contact.isLost(['early', 'moves', 'late'])).toBe(true);
  expect([...contact.withdrawn].sort()).toEqual(['late', 'moves']);
});

test('where no heartbeat has told anything of routers yet, all are withdrawn', () => {
  const contact = scene();
  contact.taken(now);
  after(AGENT_TIMEOUT_MS);
  expect(contact.isLost(['r1'])).toBe(true);
  expect([...contact.withdrawn]).toEqual(['r1']);
});

test('it can be silent for no longer than since the last heartbeat was sent, and a router is new from when it was seen', () => {
  const contact = scene();
  expect(contact.quietFor()).toBe(0);
  contact.taken(now - 1_000, { movable_routers: [] });
  expect(contact.quietFor()).toBe(AGENT_TIMEOUT_MS - 3_000);
  after(1_000);
  contact.sees(['r1']);
  after(1_000);
  contact.taken(now, { movable_routers: [] });
  expect(contact.quietFor()).toBe(AGENT_TIMEOUT_MS - 2_000);
  after(AGENT_TIMEOUT_MS);
  expect([contact.quietFor(), contact.isLost(['r1']), contact.isLost(['r1', 'r2'])]).toEqual([0, false, true]);
  expect([...contact.withdrawn]).toEqual(['r2']);
});
