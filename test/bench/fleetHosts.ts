// The hosts of the fleet benchmark: a process of their own, as in life, with all of them simulated. Its parent is the controller's.
import { createMemoryBus, CumuletError, HostError, systemClock, type AgentApi, type Bus } from '@cumulet/common';
import { createSimulatedHost } from '../support/simulatedHost';

/** What the controller's process sends. */
export type ToHosts =
  | { readonly command: Parameters<Bus['sendCommand']>[0] }
  | { readonly changes: Parameters<Bus['hintChanges']> }
  | { readonly answer: number; readonly value?: unknown; readonly error?: { code: string; message: string } }
  | { readonly calm: true };

/** Questions of agents that pass between the processes; streams don't, and no host of the fleet moves a disk or makes an image. */
export const ASKED = ['register', 'heartbeat', 'networkChanges', 'reportPorts', 'reportServers'] as const;
export type Asked = (typeof ASKED)[number];

/** What the hosts' process sends. */
export type FromHosts =
  | { readonly reply: Parameters<Bus['sendReply']>[0] }
  | { readonly ask: number; readonly method: Asked; readonly args: readonly unknown[] }
  | { readonly started: true };

/** Part of the commands that fail, until the fleet is told to be calm. */
let fails = 0.02;
/** Seconds that a host works on a server, half of them for each of the two rounds of commands. */
const [FASTEST, SLOWEST] = [0.2, 3];

/** Milliseconds between questions of a network agent what changed. */
const POLL_MS = 5_000;

const fail = (error: unknown): void => {
  console.error(error);
  process.exit(1);
};

const send = (message: FromHosts): void => void process.send?.(message);

async function main(hosts: number): Promise<void> {
  const bus = createMemoryBus();
  await bus.onReply((reply) => Promise.resolve(send({ reply })));
  let asked = 0;
  const open = new Map<number, { done: (value: unknown) => void; fail: (error: Error) => void }>();
  const call = (method: Asked, args: readonly unknown[]): Promise<unknown> =>
    new Promise((done, fail) => {
      open.set(++asked, { done, fail });
      send({ ask: asked, method, args });
    });
  const api = Object.fromEntries(
    ASKED.map((method) => [method, (...args: unknown[]) => call(method, args)]),
  ) as unknown as AgentApi;
  process.on('message', (message: ToHosts) => {
    if ('command' in message) void bus.sendCommand(message.command);
    // Hints are not passed on: each host asks in turn, and how often is a part of what is measured.
    else if ('changes' in message) return;
    else if ('calm' in message) fails = 0;
    else {
      const { done, fail } = open.get(message.answer) ?? {};
      open.delete(message.answer);
      if (message.error) fail?.(new CumuletError(message.error.code, message.error.message));
      else done?.(message.value);
    }
  });
  process.on('disconnect', () => process.exit(0));
  const all = Array.from({ length: hosts }, (_, at) => createSimulatedHost(`node-${at + 1}`, bus, api, 2_000));
  for (const host of all) {
    host.isStocked = true;
    host.before = async () => {
      const seconds = FASTEST + Math.random() * (SLOWEST - FASTEST);
      await systemClock.sleep((seconds * 1000) / 2);
      if (Math.random() < fails) throw new HostError('bad_luck', 'the host had bad luck', { retryable: false });
    };
  }
  // Not all in one moment: no lab starts all its hosts at once.
  for (let at = 0; at < all.length; at += 50) await Promise.all(all.slice(at, at + 50).map((host) => host.start()));
  // All in turn, each as often as by default.
  const poll = async (): Promise<void> => {
    for (let at = 0; ; at = (at + 1) % all.length) {
      void all[at]?.poll().catch(fail);
      await systemClock.sleep(POLL_MS / all.length);
    }
  };
  void poll();
  send({ started: true });
}

// The parent also needs the types.
if (require.main === module) void main(Number(process.argv[2])).catch(fail);
