// What every bus must do, whatever carries its messages.
import type { Bus, Command, Reply, Subscription } from '@cumulet/common';

export interface BusUnderTest {
  /** The bus of a controller. Each call is another controller's. */
  controller(): Bus;
  /** The bus of a host's agents, as host h1 and h2. */
  agent(host: 'h1' | 'h2'): Bus;
}

let count = 0;
export const command = (changes: Partial<Command> = {}): Command => ({
  task: `task-${++count}`,
  step: 'prepare',
  send: 1,
  host: 'h1',
  session: 1,
  generation: 1,
  resource: 'server-1',
  kind: 'server.remove',
  body: { server_id: 'server-1' },
  ...changes,
});
export const replyTo = ({ task, step, send, host, kind }: Command, changes: Partial<Reply> = {}): Reply => ({
  task,
  step,
  send,
  host,
  kind,
  outcome: 'done',
  observed: {},
  fault: null,
  ...changes,
});

/** Waits until something holds. @throws Error after 15 s */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 60_000; Date.now() < until;) {
    if (await holds()) return;
    await new Promise((next) => setTimeout(next, 10));
  }
  throw new Error(`never came: ${what}`);
}

export function busContract(under: BusUnderTest): void {
  const open: Subscription[] = [];
  const keep = async (subscription: Promise<Subscription>): Promise<Subscription> => {
    open.push(await subscription);
    return subscription;
  };
  afterEach(async () => {
    for (const subscription of open.splice(0)) await subscription.close();
  });
  beforeEach(async () => {
    await eventually('queues', () =>
      Promise.all(['h1', 'h2'].map((host) => under.controller().declareHost(host))).then(
        () => true,
        () => false,
      ),
    );
  });

  test('a command reaches the agent of its host and role, and no other', async () => {
    const got: string[] = [];
    await keep(under.agent('h1').onCommand('h1', 'compute', ({ task }) => void got.push(`h1 compute ${task}`)));
    await keep(under.agent('h1').onCommand('h1', 'storage', ({ task }) => void got.push(`h1 storage ${task}`)));
    await keep(under.agent('h2').onCommand('h2', 'compute', ({ task }) => void got.push(`h2 compute ${task}`)));
    const first = command();
    const second = command({ kind: 'disk.remove' });
    const third = command({ host: 'h2' });
    for (const one of [first, second, third]) await under.controller().sendCommand(one);
    await eventually('three commands', () => got.length === 3);
    expect(got.sort()).toEqual([`h1 compute ${first.task}`, `h1 storage ${second.task}`, `h2 compute ${third.task}`]);
  });

  test('what arrives is what was sent', async () => {
    const got: Command[] = [];
    await keep(under.agent('h1').onCommand('h1', 'compute', (one) => void got.push(one)));
    const sent = command({ resource: 'größer', send: 7, generation: 3, session: 12 });
    await under.controller().sendCommand(sent);
    await eventually('the command', () => got.length === 1);
    expect(got).toEqual([sent]);
  });

  test('commands arrive in the order in which they were sent', async () => {
    const got: number[] = [];
    await keep(under.agent('h1').onCommand('h1', 'compute', ({ send }) => void got.push(send)));
    for (let send = 1; send <= 50; send++) await under.controller().sendCommand(command({ send }));
    await eventually('50 commands', () => got.length === 50);
    expect(got).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  test('a command is taken over once: an agent that comes later does not get it again', async () => {
    let calls = 0;
    const subscription = await keep(under.agent('h1').onCommand('h1', 'compute', () => void calls++));
    await under.controller().sendCommand(command());
    await eventually('the call', () => calls === 1);
    await subscription.close();
    const later: Command[] = [];
    await keep(under.agent('h1').onCommand('h1', 'compute', (one) => void later.push(one)));
    const next = command();
    await under.controller().sendCommand(next);
    await eventually('the next command', () => later.length > 0);
    expect(later.map(({ task }) => task)).toEqual([next.task]);
    expect(calls).toBe(1);
  });

  test('a closed subscription takes nothing more', async () => {
    const got: Command[] = [];
    const closed = await under.agent('h1').onCommand('h1', 'compute', (one) => void got.push(one));
    await under.controller().sendCommand(command());
    await eventually('the first command', () => got.length === 1);
    await closed.close();
    await under.controller().sendCommand(command({ kind: 'disk.remove' }));
    const other: Command[] = [];
    await keep(under.agent('h1').onCommand('h1', 'storage', (one) => void other.push(one)));
    await under.controller().sendCommand(command({ kind: 'disk.remove' }));
    await eventually('the other agent’s command', () => other.length > 0);
    expect(got).toHaveLength(1);
  });

  test('a command that does not fit its schema is refused where it is sent', async () => {
    const wrong = command({ body: { server_id: '' } as never });
    await expect(under.controller().sendCommand(wrong)).rejects.toMatchObject({ code: 'bad_message' });
    const unknown = command({ kind: 'toString' as never });
    await expect(under.controller().sendCommand(unknown)).rejects.toMatchObject({ code: 'bad_message' });
  });

  test('a reply is taken by one of two controllers', async () => {
    const got: string[] = [];
    const [a, b] = [under.controller(), under.controller()];
    await keep(a.onReply(async ({ task }) => void got.push(task)));
    await keep(b.onReply(async ({ task }) => void got.push(task)));
    const sent = Array.from({ length: 20 }, () => command());
    for (const one of sent) await under.agent('h1').sendReply(replyTo(one));
    await eventually('20 replies', () => got.length >= 20);
    expect(got.sort()).toEqual(sent.map(({ task }) => task).sort());
  });

  test('a reply that could not be recorded comes again', async () => {
    let calls = 0;
    await keep(
      under.controller().onReply(async () => {
        if (++calls < 3) throw new Error('the database is away');
      }),
    );
    await under.agent('h1').sendReply(replyTo(command()));
    await eventually('the third try', () => calls === 3);
  });

  test('a reply that does not fit its schema is refused where it is sent', async () => {
    const wrong = replyTo(command(), { outcome: 'perhaps' as never });
    await expect(under.agent('h1').sendReply(wrong)).rejects.toMatchObject({ code: 'bad_message' });
  });

  test('a hint reaches every host', async () => {
    const got: string[] = [];
    await keep(under.agent('h1').onChanges('h1', (sequence) => void got.push(`h1 ${sequence}`)));
    await keep(under.agent('h2').onChanges('h2', (sequence) => void got.push(`h2 ${sequence}`)));
    await under.controller().hintChanges(41);
    await eventually('both hints', () => got.length >= 2);
    expect(got.sort()).toEqual(['h1 41', 'h2 41']);
  });

  test('a hint for some hosts reaches those only', async () => {
    const got: string[] = [];
    await keep(under.agent('h1').onChanges('h1', (sequence) => void got.push(`h1 ${sequence}`)));
    await keep(under.agent('h2').onChanges('h2', (sequence) => void got.push(`h2 ${sequence}`)));
    await under.controller().hintChanges(42, ['h2']);
    await eventually('the hint', () => got.length >= 1);
    await under.controller().hintChanges(43, []);
    await under.controller().hintChanges(44);
    await eventually('the last hint', () => got.includes('h1 44') && got.includes('h2 44'));
    expect(got.filter((one) => !one.endsWith(' 44'))).toEqual(['h2 42']);
  });
}
