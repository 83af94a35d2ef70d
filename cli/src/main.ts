#!/usr/bin/env node
// The command `cumulet`: a thin client of the public APIs with the grammar of `openstack`.
import { cumulet } from './run';

const coloured = (stream: NodeJS.WriteStream): boolean => stream.isTTY && !process.env['NO_COLOR'];
const prefix = coloured(process.stderr) ? '\u001b[31mcumulet:\u001b[0m' : 'cumulet:';

void cumulet(process.argv.slice(2), {
  env: process.env,
  directory: process.cwd(),
  colour: coloured(process.stdout),
  print: (text) => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`),
  complain: (text) => void process.stderr.write(`${prefix} ${text}\n`),
  progress: (text) => void (process.stderr.isTTY && process.stderr.write(`\r\u001b[K${text}`)),
}).then((exit) => (process.exitCode = exit));
