// npm run firsthour [-- --firewall ufw|firewalld --previous COMMIT --directory DIR --keep]: a stranger's machine before, during and after the cloud.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exec, messageOf } from '@cumulet/common';
import { baseTree } from './base';
import { commitsOf } from './checkout';
import { makeLan } from './lan';
import { makeMachine, type Machine } from './machine';
import type { Firewall } from './neighbours';
import { play } from './play';
import { createReport } from './report';

const USAGE = `usage: npm run firsthour -- [--firewall ufw|firewalld] [--previous COMMIT] [--directory DIRECTORY] [--keep]   (as root)

Plays the first hour of a user in a container of its own. --keep leaves it running at the end; --previous is the commit that is upgraded from,
by default the one before the last change of the database; the base tree of the container stays in DIRECTORY (/var/tmp/cumulet-first-hour).`;

/** @throws Error in one line with everything that is missing */
async function checkTools(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('the first hour needs root: it makes a container and a bridge');
  const needed = {
    mmdebstrap: 'mmdebstrap',
    'systemd-nspawn': 'systemd-container',
    nft: 'nftables',
    git: 'git',
    ssh: 'openssh-client',
  };
  const missing: string[] = [];
  for (const [command, name] of Object.entries(needed))
    await exec(['sh', '-c', `command -v ${command}`]).catch(() => missing.push(name));
  if (missing.length > 0) throw new Error(`the first hour needs packages: apt-get install ${missing.join(' ')}`);
}

function options(): { firewall: Firewall; previous?: string; directory: string; keep: boolean } {
  const { values } = parseArgs({
    options: {
      firewall: { type: 'string', default: 'ufw' },
      previous: { type: 'string' },
      directory: { type: 'string', default: '/var/tmp/cumulet-first-hour' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { firewall, previous, directory, keep } = values;
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (firewall !== 'ufw' && firewall !== 'firewalld')
    throw new Error(`--firewall is ufw or firewalld, not ${firewall}`);
  return { firewall, directory, keep, ...(previous === undefined ? {} : { previous }) };
}

/** How somebody who keeps the machine gets in, and ends it. */
const keptWords = (place: string, id: string, leader: string): string => `kept: ${place}
  nsenter -t ${leader} -m -p -n -u -i bash       # a shell there
  kill -9 ${leader}; sleep 1; umount ${place}/root; rm -r ${place}
  nft delete table ip first-hour-${id}; ip netns del fh-${id}; ip link del fh-${id}`;

async function main(): Promise<number> {
  const { firewall, previous, directory, keep } = options();
  await checkTools();
  const commits = await commitsOf(previous);
  const report = createReport();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, report.stop);
  const id = randomBytes(3).toString('hex');
  const place = join(directory, `machine-${id}`);
  const lan = await makeLan(id);
  let machine: Machine | undefined;
  try {
    let tree = '';
    await report.need('the base of a machine', async () => (tree = await baseTree(directory, firewall)));
    if (tree === '') return report.end();
    machine = await makeMachine(tree, place, lan);
    await play({ machine, lan }, report, firewall, commits);
    return report.end();
  } finally {
    if (keep && machine) console.log(keptWords(place, id, machine.leader()));
    else
      for (const each of [machine, lan])
        await each?.remove().catch((error: unknown) => console.error(messageOf(error)));
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`firsthour: ${messageOf(error)}`);
    process.exit(2);
  },
);
