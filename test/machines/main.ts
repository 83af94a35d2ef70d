// npm run machines [-- --directory DIR --keep]: the documentation of a cloud on many machines, played on three containers with systemd.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exec, messageOf } from '@cumulet/common';
import { baseTree } from '../containers/base';
import { lastCommit } from '../containers/checkout';
import { makeLan } from '../containers/lan';
import { claim, leave, removeLeftovers } from '../containers/leftovers';
import { makeMachine, type Machine } from '../containers/machine';
import { createReport } from '../containers/report';
import { checkTools } from '../containers/tools';
import { CTL, HOSTS } from './documentation';
import { play } from './play';

const USAGE = `usage: npm run machines -- [--directory DIRECTORY] [--keep]   (as root)

Sets a cloud up on three containers with systemd by the words of docs/operations.md ("Setting it up"), and shows what it bears. --keep leaves
them running at the end; the base tree of the containers stays in DIRECTORY (/var/tmp/cumulet-machines).`;

function options(): { directory: string; keep: boolean } {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string', default: '/var/tmp/cumulet-machines' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  return values;
}

/** How somebody who keeps the machines gets in, and ends them. */
const keptWords = (place: string, id: string, machines: readonly Machine[]): string =>
  [
    `kept: ${place}`,
    ...machines.map((one) => `  nsenter -t ${one.leader()} -m -p -n -u -i bash       # a shell on ${one.name}`),
    ...machines.map((one) => `  kill -9 ${one.leader()}; sleep 1; umount ${one.root}`),
    `  rm -r ${place}; nft delete table ip lan-${id}; ip netns del lan-${id}; ip link del lan-${id}`,
  ].join('\n');

async function main(): Promise<number> {
  const { directory, keep } = options();
  await checkTools('npm run machines');
  const commit = await lastCommit();
  const report = createReport();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, report.stop);
  await removeLeftovers(directory, 'machines-');
  const id = randomBytes(3).toString('hex');
  const place = join(directory, `machines-${id}`);
  claim(place);
  const lan = await makeLan(id);
  const machines: Machine[] = [];
  try {
    let base = '';
    await report.need(
      'the base of a machine',
      async () => (base = await baseTree(directory, 'ssh', ['openssh-server'])),
    );
    if (base === '') return report.end();
    const make = async ({ name, number }: { name: string; number: number }): Promise<Machine> => {
      const machine = await makeMachine({ base, directory: join(place, name), lan, name, number });
      machines.push(machine);
      return machine;
    };
    const ctl = await make(CTL);
    const hosts = [await make(HOSTS[0]), await make(HOSTS[1])] as const;
    await play({ lan, ctl, hosts }, report, commit);
    return report.end();
  } finally {
    if (keep && machines.length > 0) {
      leave(place);
      console.log(keptWords(place, id, machines));
    } else {
      for (const each of [...machines, lan])
        await each.remove().catch((error: unknown) => console.error(messageOf(error)));
      await exec(['rm', '-rf', place]);
    }
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`machines: ${messageOf(error)}`);
    process.exit(2);
  },
);
