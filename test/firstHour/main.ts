// npm run firsthour [-- --firewall ufw|firewalld --previous COMMIT --directory DIR --keep]: a stranger's machine before, during and after the cloud.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exec, messageOf } from '@cumulet/common';
import { baseTree } from '../containers/base';
import { commitsOf } from '../containers/checkout';
import { makeLan } from '../containers/lan';
import { claim, leave, removeLeftovers } from '../containers/leftovers';
import { makeMachine, type Machine } from '../containers/machine';
import { createReport } from '../containers/report';
import { checkTools } from '../containers/tools';
import type { Firewall } from './neighbours';
import { play } from './play';

const USAGE = `usage: npm run firsthour -- [--firewall ufw|firewalld] [--previous COMMIT] [--directory DIRECTORY] [--keep]   (as root)

Plays the first hour of a user in a container of its own. --keep leaves it running at the end; --previous is the commit that is upgraded from,
by default the one before the last change of the database; the base tree of the container stays in DIRECTORY (/var/tmp/cumulet-first-hour).`;

/** What the machine had before: libvirt's daemon is its owner's, with its default network. */
const PACKAGES = [
  'iptables nftables',
  'libvirt-daemon-system libvirt-daemon-config-network libvirt-clients dnsmasq-base',
].flatMap((line) => line.split(' '));

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
  nft delete table ip lan-${id}; ip netns del lan-${id}; ip link del lan-${id}`;

async function main(): Promise<number> {
  const { firewall, previous, directory, keep } = options();
  await checkTools('the first hour');
  const commits = await commitsOf(previous);
  const report = createReport();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, report.stop);
  await removeLeftovers(directory, 'machine-');
  const id = randomBytes(3).toString('hex');
  const place = join(directory, `machine-${id}`);
  claim(place);
  const lan = await makeLan(id);
  let machine: Machine | undefined;
  try {
    let tree = '';
    await report.need(
      'the base of a machine',
      async () => (tree = await baseTree(directory, firewall, [...PACKAGES, firewall])),
    );
    if (tree === '') return report.end();
    machine = await makeMachine({ base: tree, directory: place, lan, name: 'lab', number: 5 });
    await play({ machine, lan }, report, firewall, commits);
    return report.end();
  } finally {
    if (keep && machine) {
      leave(place);
      console.log(keptWords(place, id, machine.leader()));
    } else {
      for (const each of [machine, lan])
        await each?.remove().catch((error: unknown) => console.error(messageOf(error)));
      await exec(['rm', '-rf', place]);
    }
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`firsthour: ${messageOf(error)}`);
    process.exit(2);
  },
);
