// Inspects an uploaded file in a child process without rights, bounded in time and memory.
import { open } from 'node:fs/promises';
import { exec, fits } from '@cumulet/common';
import { Type } from '@sinclair/typebox';
import type { Inspection } from './inspect';

const SECONDS = 20;
const HEAP_MIB = 64;
/** All data of the process. Node itself needs about 150 MiB of it. */
const DATA_BYTES = 1024 * 1024 * 1024;
/** The compiled program: also when this file runs from its source, as in tests. */
const PROGRAM = require.resolve('@cumulet/controller/dist/services/image/inspector/child.js');

const Answer = Type.Object({
  format: Type.String({ pattern: '^[a-z0-9]{1,16}$' }),
  contents: Type.Array(Type.String({ pattern: '^[a-z0-9]{1,16}$' }), { maxItems: 8 }),
  virtualSize: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  // Printable, because callers will read them.
  problems: Type.Array(Type.String({ maxLength: 300, pattern: '^[ -~]*$' }), { maxItems: 32 }),
  uid: Type.Optional(Type.Integer()),
});

/** What the child says is as untrusted as the file. @throws Error when it is not an answer. */
export function parseAnswer(text: string): Inspection {
  const answer: unknown = JSON.parse(text);
  if (!fits(Answer, answer)) throw new Error('the image inspector gave no proper answer');
  const { format, contents, virtualSize, problems } = answer;
  return { format, contents, virtualSize, problems };
}

/** Reads the header of a file. @throws CommandError when the child was killed or failed. */
export async function inspectFile(path: string): Promise<Inspection> {
  const file = await open(path, 'r');
  try {
    const limits = [`--cpu=${SECONDS}`, '--fsize=0', '--core=0', '--nofile=64', `--data=${DATA_BYTES}`];
    const node = [process.execPath, `--max-old-space-size=${HEAP_MIB}`, PROGRAM];
    const { stdout } = await exec(['prlimit', ...limits, '--', ...node], {
      stdin: file.fd,
      timeout: SECONDS * 1000,
      cwd: '/',
    });
    return parseAnswer(stdout);
  } finally {
    await file.close();
  }
}
