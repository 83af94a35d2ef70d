// The distribution's unmodified `openstack` client for a test file: each command is a process of its own, but the client's modules, which
// take longer to load than most commands, are loaded once for all.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

interface Client {
  readonly process: ChildProcess;
  readonly directory: string;
  readonly waiting: Map<number, { done: (status: number) => void; fail: (error: Error) => void }>;
  commands: number;
}
let client: Client | undefined;

function startClient(): Client {
  const program = spawn('/usr/bin/python3', [join(__dirname, 'openstackClient.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-openstack-'));
  const started: Client = { process: program, directory, waiting: new Map(), commands: 0 };
  createInterface({ input: program.stdout }).on('line', (line) => {
    const { id, status } = JSON.parse(line) as { id: number; status: number };
    started.waiting.get(id)?.done(status);
    started.waiting.delete(id);
  });
  const fail = (error: Error): void => {
    for (const { fail } of started.waiting.values()) fail(error);
  };
  program.on('error', fail);
  program.on('exit', (code, signal) => fail(new Error(`the client's process ended with ${code ?? signal}`)));
  return started;
}

afterAll(async () => {
  if (!client) return;
  const ended = once(client.process, 'exit');
  client.process.stdin?.end();
  await ended;
  rmSync(client.directory, { recursive: true });
  client = undefined;
});

/** Runs one command of the client in an environment that has the path besides, and returns its standard output.
 * @throws with what the client said when it fails */
export async function runOpenstack(words: readonly string[], env: Record<string, string>): Promise<string> {
  client ??= startClient();
  const { process: program, directory, waiting } = client;
  const id = client.commands++;
  const [out, err] = [join(directory, `${id}.out`), join(directory, `${id}.err`)];
  const status = await new Promise<number>((done, fail) => {
    waiting.set(id, { done, fail });
    const order = { id, words, env: { PATH: process.env['PATH'], HOME: directory, ...env }, out, err };
    program.stdin?.write(`${JSON.stringify(order)}\n`);
  });
  if (status !== 0)
    throw new Error(`openstack ${words.join(' ')} ended with exit code ${status}: ${readFileSync(err, 'utf8')}`);
  return readFileSync(out, 'utf8').trim();
}
