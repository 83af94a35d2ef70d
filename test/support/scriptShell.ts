// Runs a piece of shell with all parts of the script `cumulet` loaded, on a PATH of a few tools, so that a test of its functions
// can neither find what it should not nor run what would change the machine.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout';

const PARTS = 'node tasks judges doctor machine packages build process cloud up down test';
const TOOLS =
  'sh tr ls sort getent cut id dirname grep cat awk readlink head tail sed sleep kill rm mkdir chmod find stat sha256sum date uname nproc realpath mv df tr wc timeout flock';

/** The script's directories and files, all inside the test's own; libvirt is "started" by the mark that it leaves. */
const OWN = `
  data_dir=$own/data config_dir=$own/etc run_dir=$own/run cache_dir=$own/cache log_dir=$own/log state=$own/state state_dir=$own/state
  guest_logs=$own/guests packages_file=$own/packages lock_file=$own/lock qemu_conf=$own/qemu.conf daemon_pids=$own/pids kvm_device=$own/kvm
  systemd_dir=$own/systemd unit_file=$own/units/cumulet.service
  start_libvirt() { mkdir -p "$run_dir"; : > "$run_dir/started_libvirt"; }
  reread_qemu_conf() { echo qemu.conf changed; }
  chown() { echo "chown $*"; }
`;

/** Questions that appear on a terminal, and what is typed then. */
export type Answers = readonly (readonly [string, string])[];

/** @param answers - given: it runs on a terminal of its own
 * @param directory - of the test; gets the tools, and everything that the script's functions write; a directory
 * `systemd` in it stands for a systemd that runs the machine
 * @returns how it ended and what it said, without blanks around */
export function scriptShell(
  directory: string,
  text: string,
  env: Readonly<Record<string, string>> = {},
  answers?: Answers,
) {
  const tools = path.join(directory, 'tools');
  mkdirSync(tools, { recursive: true });
  spawnSync('sh', [
    '-c',
    `[ -e ${tools}/apt-get ] || ln -s /bin/true ${tools}/apt-get; for t in ${TOOLS}; do ln -sf "$(command -v $t)" ${tools}/; done`,
  ]);
  const prelude = `root=${root}; self=cumulet; for part in ${PARTS}; do . ${root}/install/$part.sh; done; own=${directory}; ${OWN}`;
  const shell = ['sh', '-euc', `${prelude} ${text}`];
  const terminal = ['/usr/bin/python3', path.join(root, 'test/support/terminal.py'), JSON.stringify(answers)];
  const [command = '', ...words] = answers ? [...terminal, ...shell] : shell;
  const ran = spawnSync(command, words, { encoding: 'utf8', env: { PATH: tools, ...env } });
  return { status: ran.status, out: ran.stdout.trim(), err: ran.stderr.trim() };
}
