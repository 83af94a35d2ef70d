// What the broker lets a host's user and the controllers' user do: every permission is a regular expression on names.
import {
  agentRoles,
  changesQueueName,
  COMMANDS_EXCHANGE,
  commandQueueName,
  CONTROLLER_USER,
  controllerDefinitions,
  hostDefinitions,
  hostUserName,
  REPLIES_EXCHANGE,
  type BrokerDefinitions,
} from '@cumulet/common';

/** Whether the only user may do it. */
function may({ permissions: [only] }: BrokerDefinitions, act: 'configure' | 'write' | 'read', name: string): boolean {
  if (!only) throw new Error('nobody has permissions');
  return new RegExp(only[act]).test(name);
}
const ownQueues = (host: string): string[] => [
  ...agentRoles.map((role) => commandQueueName(host, role)),
  changesQueueName(host),
];

describe('a host', () => {
  const host = hostDefinitions('cumulet', 'node.1', 'secret');

  test('reads its own queues and answers, and that is all', () => {
    for (const queue of ownQueues('node.1')) {
      expect([queue, may(host, 'read', queue)]).toEqual([queue, true]);
      expect([queue, may(host, 'write', queue), may(host, 'configure', queue)]).toEqual([queue, false, false]);
    }
    expect(may(host, 'write', REPLIES_EXCHANGE)).toBe(true);
    expect(may(host, 'read', REPLIES_EXCHANGE)).toBe(false);
    expect(may(host, 'write', COMMANDS_EXCHANGE)).toBe(false);
    expect(may(host, 'configure', REPLIES_EXCHANGE)).toBe(false);
  });

  // The dot of its name is a dot, not any character.
  test.each(['node-1', 'nodex1', 'node.10', 'a.node.1', 'node', ''])('does not read the queues of "%s"', (other) => {
    for (const queue of ownQueues(other)) expect([queue, may(host, 'read', queue)]).toEqual([queue, false]);
  });
});

test('the controllers declare queues and exchanges and read no queue of a host', () => {
  const controller = controllerDefinitions('cumulet', 'secret');
  for (const queue of ownQueues('node.1')) {
    expect([queue, may(controller, 'configure', queue), may(controller, 'write', queue)]).toEqual([queue, true, true]);
    expect([queue, may(controller, 'read', queue)]).toEqual([queue, false]);
  }
  for (const exchange of [COMMANDS_EXCHANGE, REPLIES_EXCHANGE])
    for (const act of ['configure', 'write', 'read'] as const)
      expect([act, exchange, may(controller, act, exchange)]).toEqual([act, exchange, true]);
  expect(may(controller, 'configure', 'amq.topic')).toBe(false);
});

test('the file holds a salted hash in place of the password', () => {
  const [one, other] = [hostDefinitions('v', 'node-1', 'secret'), hostDefinitions('v', 'node-1', 'secret')];
  expect(one.users).toMatchObject([{ name: hostUserName('node-1'), tags: [] }]);
  expect(JSON.stringify(one)).not.toContain('secret');
  expect(one.users[0]?.password_hash).not.toBe(other.users[0]?.password_hash);
  expect(controllerDefinitions('v', 'secret').users).toMatchObject([{ name: CONTROLLER_USER }]);
});
