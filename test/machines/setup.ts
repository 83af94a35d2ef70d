// Machines as an administrator gets them, and the documentation played on them.
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exec } from '@cumulet/common';
import { offerHistory } from '../containers/checkout';
import type { Machine } from '../containers/machine';
import type { Report } from '../containers/report';
import { blocksOf, CTL, HOSTS, textOn, type Differences, type Place } from './documentation';
import { LONG_SECONDS, type Stage } from './stage';

/** An administrator at a terminal answers apt's questions with the key Enter. */
const APT = 'APT::Get::Assume-Yes "true";\n';

/** Node.js' headers where they are at hand, so that nothing is fetched from elsewhere. */
const profile = (): string => {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node_api.h'));
  const node = headers ? `export npm_config_nodedir=${prefix} npm_config_build_from_source=true\n` : '';
  return `export DEBIAN_FRONTEND=noninteractive\n${node}`;
};

const places: readonly Place[] = [CTL, ...HOSTS];

function machineAt({ ctl, hosts }: Stage, { name }: Place): Machine {
  const machine = [ctl, ...hosts].find((one) => one.name === name);
  if (!machine) throw new Error(`there is no machine ${name}`);
  return machine;
}

/** Names, and root's way from the first machine to all. */
async function prepareFiles(stage: Stage): Promise<void> {
  const all = places.map((place) => machineAt(stage, place));
  const key = join(stage.ctl.root, 'root/.ssh/machines');
  for (const { root, name } of all) {
    const others = all.filter((one) => one.name !== name);
    appendFileSync(join(root, 'etc/hosts'), others.map((one) => `${one.address} ${one.name}\n`).join(''));
    writeFileSync(join(root, 'etc/apt/apt.conf.d/90answers'), APT);
    writeFileSync(join(root, 'etc/profile.d/machines.sh'), profile());
    mkdirSync(join(root, 'root/.ssh'), { mode: 0o700, recursive: true });
  }
  await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  for (const { root } of all) cpSync(`${key}.pub`, join(root, 'root/.ssh/authorized_keys'));
  const settings = `Host ${places.map(({ name }) => name).join(' ')}\n  IdentityFile /root/.ssh/machines\n  StrictHostKeyChecking accept-new\n`;
  writeFileSync(join(stage.ctl.root, 'root/.ssh/config'), settings);
  chmodSync(join(stage.ctl.root, 'root/.ssh/config'), 0o600);
}

export async function prepare(stage: Stage, commit: string): Promise<string> {
  await prepareFiles(stage);
  const all = places.map((place) => machineAt(stage, place));
  await Promise.all(all.map((machine) => machine.boot()));
  await Promise.all(all.map((machine) => machine.asAdministrator('apt-get -q update', 300)));
  return offerHistory(stage.ctl, commit);
}

/** libvirt does without control groups, which can't be made in these containers; as `cumulet up` tells it in such a one. */
async function spareControlGroups({ hosts }: Stage): Promise<void> {
  const command = "echo 'cgroup_controllers = [ ]' >> /etc/libvirt/qemu.conf; systemctl try-restart libvirtd";
  await Promise.all(hosts.map((host) => host.asAdministrator(command)));
}

/** Writes a file as it is documented. */
function writeDocumented(machine: Machine, path: string, text: string): void {
  const file = join(machine.root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** What is done before or after a block of the documentation; by its name. */
export type Between = Readonly<Record<string, () => Promise<void>>>;

/**
 * Plays a section: writes its files and runs its commands, on all hosts at once where they are for each.
 * @param before a block of commands of this name is run
 */
export async function playSection(stage: Stage, { need }: Report, heading: string, before: Between): Promise<void> {
  const differences: Differences = { prefix: stage.lan.prefix, interface: 'host0', repository: '/srv/cumulet.git' };
  for (const block of blocksOf(heading)) {
    const { what, places: on, kind, text } = block;
    const names = on.map(({ name }) => name).join(' and ');
    if (kind === 'file') {
      for (const place of on)
        writeDocumented(
          machineAt(stage, place),
          textOn(place, block, what, differences),
          textOn(place, block, text, differences),
        );
      continue;
    }
    const first = before[what];
    if (first) await need(`before "${what}"`, () => first().then(() => ''));
    await need(`documentation: ${what}, on ${names}`, async () => {
      const run = (place: Place): Promise<string> =>
        machineAt(stage, place).asAdministrator(`set -x\n${textOn(place, block, text, differences)}`, LONG_SECONDS);
      await Promise.all(on.map(run));
      if (what === 'packages' && on.length > 1) await spareControlGroups(stage);
      return '';
    });
  }
}
