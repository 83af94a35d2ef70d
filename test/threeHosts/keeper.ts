// The process that holds a lab, in namespaces of its own: whatever ends it ends everything in the lab. It is asked by a unix socket.
// keeper DIRECTORY ADDRESS [--shared-disks]: the lab's directory, and its address on the physical network with the length of the prefix
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { messageOf } from '@cumulet/common';
import { createLab, type Lab } from './lab';
import { SHARED_DISKS } from './state';

/** Answers a question: an object, or nothing. */
async function answerTo(lab: Lab, method: string, path: string): Promise<unknown> {
  const [, what, host = ''] = path.split('/');
  switch (`${method} ${what}`) {
    case 'GET state':
      return lab.state();
    case 'GET orphans':
      return lab.orphans();
    case 'POST up':
      return lab.up();
    case 'POST off':
      return lab.off(host);
    default:
      throw new Error(`nobody answers ${method} ${path}`);
  }
}

function main([directory = '', outside = '', option]: readonly string[]): void {
  // What is below /sys/class/net must be ours.
  execFileSync('mount', ['-t', 'sysfs', 'sysfs', '/sys']);
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  // Hosts' floating IPs are reached through us.
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const lab = createLab(directory, { outside, sharedDisks: option === SHARED_DISKS });
  createServer((request, response) => {
    answerTo(lab, request.method ?? '', request.url ?? '').then(
      (answer) => response.end(JSON.stringify(answer ?? null)),
      (error: unknown) => response.writeHead(500).end(messageOf(error)),
    );
  }).listen(join(directory, 'control'));
}

main(process.argv.slice(2));
