// The controller's side of the hosts' contract: registers agents, has a change feed, remembers reports, and sends commands.
import { createMemoryBus, commandRole, newId, type AgentApi, type AgentRole, type Bus } from '@cumulet/common';
import type { CommandBody, CommandKind, Expected, NetworkObject, Reply } from '@cumulet/common';
import { driveAgent, type AgentDriver } from './agentDriver';
import { fakeAgentApi, type FakeAgentApi } from './fakeAgentApi';

export interface ContractController {
  /** The host that it speaks to. */
  readonly host: string;
  readonly bus: Bus;
  readonly api: FakeAgentApi;
  readonly driver: AgentDriver;
  /** Ports as they were last reported. */
  readonly ports: Map<string, boolean>;
  /** What the next registration of a role names. */
  expect(role: AgentRole, expected: readonly Expected[]): void;
  session(role: AgentRole): number;
  /** Puts objects into the feed and takes some out. @returns the sequence of the change */
  change(objects: readonly NetworkObject[], gone?: readonly NetworkObject[]): number;
  /** Tells the host's network agent that there is something new, as controllers do. */
  hint(): Promise<void>;
  /** Sends a command to the agent that carries it out, in its session, and waits for the answer. */
  run<K extends CommandKind>(kind: K, resource: string, body: CommandBody<K>, options?: CommandOptions): Promise<Reply>;
  /** Sends without waiting. @returns the task's id */
  send<K extends CommandKind>(
    kind: K,
    resource: string,
    body: CommandBody<K>,
    options?: CommandOptions,
  ): Promise<string>;
}

export interface CommandOptions {
  readonly generation?: number;
  readonly session?: number;
  readonly task?: string;
}

/** @param beside - one for another host that this one reaches */
export async function createContractController(host: string, beside?: ContractController): Promise<ContractController> {
  const bus = beside?.bus ?? createMemoryBus();
  const driver = await driveAgent(bus, host, beside?.driver);
  const sessions = new Map<AgentRole, number>();
  const expected = new Map<AgentRole, readonly Expected[]>();
  const ports = new Map<string, boolean>();
  const objects = new Map<string, { readonly object: NetworkObject; readonly at: number }>();
  const gone: { readonly kind: NetworkObject['kind']; readonly id: string; readonly at: number }[] = [];
  let [session, sequence] = [0, 1];
  const fake = fakeAgentApi();
  const overrides: Partial<AgentApi> = {
    register: (registration) => {
      fake.registrations.push(registration);
      sessions.set(registration.role, ++session);
      return Promise.resolve({ session, expected: expected.get(registration.role) ?? [] });
    },
    networkChanges: (_host, since) => {
      const news = [...objects.values()].filter(({ at }) => at > since).map(({ object }) => object);
      const reload = since === 0;
      return Promise.resolve({
        sequence,
        reload,
        objects: news,
        gone: reload ? [] : gone.filter(({ at }) => at > since),
      });
    },
    reportPorts: (_host, reported) => {
      for (const { id, wired } of reported) ports.set(id, wired);
      return Promise.resolve();
    },
  };
  const options = (kind: CommandKind, given: CommandOptions = {}) => ({
    session: sessions.get(commandRole[kind]) ?? 0,
    task: newId(),
    ...given,
  });
  return {
    host,
    bus,
    api: Object.assign(fake, overrides),
    driver,
    ports,
    expect: (role, names) => void expected.set(role, names),
    session: (role) => sessions.get(role) ?? 0,
    change: (put, taken = []) => {
      sequence++;
      for (const object of put) objects.set(object.id, { object, at: sequence });
      for (const { kind, id } of taken) {
        objects.delete(id);
        gone.push({ kind, id, at: sequence });
      }
      return sequence;
    },
    hint: () => bus.hintChanges(sequence, [host]),
    run: (kind, resource, body, given) => driver.run(kind, resource, body, options(kind, given)),
    send: (kind, resource, body, given) => driver.send(kind, resource, body, options(kind, given)),
  };
}
