// The process that parses headers of untrusted files: gives up its rights, reads standard input, prints what it found.
// It starts with our rights because an ordinary user may not be able to read the program itself; it opens nothing afterwards.
import { deepStrictEqual } from 'node:assert';
import { writeSync } from 'node:fs';
import { inspect } from './inspect';
import { fileSource } from './source';

/** nobody and nogroup. */
const NOBODY = 65534;

function dropRights(): void {
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
  deepStrictEqual([process.getuid?.(), process.getgid?.()], [NOBODY, NOBODY], 'the rights could not be given up');
}

if (process.getuid?.() === 0) dropRights();
writeSync(1, JSON.stringify({ ...inspect(fileSource(0)), uid: process.getuid?.() }));
