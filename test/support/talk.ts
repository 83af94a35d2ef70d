// Somebody who talks to a server all the while: pings, ten a second, and a TCP connection to its ssh daemon.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Pings, ten a second, that a guest may miss while it moves: five, where the machine has nothing else to do (CUMULET_ALONE). Beside other
 * tests its processors are not the guest's, and what counts is that it answers again.
 */
export const LOST_AT_MOST = process.env['CUMULET_ALONE'] === undefined ? 30 : 5;

/** Waits for one more answer, and resolves with how many are missing. @throws Error when none comes */
export type Pinging = () => Promise<number>;

export interface Connection {
  /** Goes on with the conversation and resolves with what is heard. */
  ask(): Promise<string>;
}

export interface Talk {
  ping(address: string): Pinging;
  connect(address: string): Promise<Connection>;
  /** Ends whatever goes on. */
  end(): void;
}

async function heard(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !holds(); await pause(50))
    if (Date.now() > end) throw new Error(`${what}: not within 30 s`);
}

/** `enter` is what the commands begin with: nothing, or how a network namespace is entered. */
export function createTalk(enter: readonly string[] = []): Talk {
  const children = new Set<ChildProcess>();
  const start = (argv: readonly string[]) => {
    const [file = '', ...args] = [...enter, ...argv];
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.add(child);
    return child;
  };
  return {
    ping(address) {
      const child = start(['ping', '-i', '0.1', '-W', '1', address]);
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const ended = once(child, 'close');
      return async () => {
        const before = text.length;
        await heard('one more answer to a ping', () => text.length > before);
        child.kill('SIGINT');
        await ended;
        const [, sent = 0, answered = 0] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
        if (Number(sent) <= 10) throw new Error(`only ${sent} pings were sent`);
        return Number(sent) - Number(answered);
      };
    },
    async connect(address) {
      const script = `exec 3<>/dev/tcp/${address}/22; head -c 8 <&3; read line; printf 'SSH-2.0-friend\\r\\n' >&3; head -c 200 <&3 | wc -c`;
      const child = start(['bash', '-c', script]);
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await heard('the greeting of the ssh daemon', () => text.startsWith('SSH-2.0-'));
      return {
        async ask() {
          text = '';
          child.stdin.write('\n');
          await heard('an answer on the connection', () => text.includes('\n'));
          return text.trim();
        },
      };
    },
    end() {
      for (const child of children) child.kill('SIGKILL');
    },
  };
}
