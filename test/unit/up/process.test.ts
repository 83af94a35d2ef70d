// How the script has the cloud's process started: by systemd, which does it after a reboot too, or as a daemon of its own.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../support/checkout';
import { scriptShell } from '../../support/scriptShell';

let directory: string;
const at = (...names: string[]): string => path.join(directory, ...names);
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-process-'));
  for (const name of ['log', 'state', 'run', 'units', 'etc', 'data']) mkdirSync(at(name));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Answers as systemd would: what was enabled is so, and what was started runs until it is stopped. Says what it was asked. */
const SYSTEMCTL = `systemctl() {
  [ "$1" != -q ] || shift
  case $1 in
    is-enabled) [ -e $own/enabled ] ;;
    is-active) [ -e $own/active ] ;;
    *)
      echo "systemctl $*"
      case $1 in
        enable) : > $own/enabled ;;
        disable) rm -f $own/enabled ;;
        start) : > $own/active ;;
        stop) rm -f $own/active ;;
      esac ;;
  esac
};`;
const shell = (text: string) => scriptShell(directory, `node=/opt/node; ${SYSTEMCTL} begin() { :; }; ${text}`);
const unit = (): string => readFileSync(at('units/cumulet.service'), 'utf8');
const START = ['systemctl daemon-reload', 'systemctl enable cumulet.service', 'systemctl start cumulet.service'];

describe('where systemd runs the machine', () => {
  beforeEach(() => mkdirSync(at('systemd')));

  test('the cloud becomes a unit of the paths of this machine, which starts with it', () => {
    expect(shell('start_process').out.split('\n')).toEqual(START);
    expect(unit()).toContain(
      `ExecStart="${root}/systemd/notify-exec" "/opt/node" "${root}/standalone/dist/main.js" --config "${at('etc')}/cumulet.yaml"`,
    );
    expect(unit()).not.toMatch(/@[A-Z]+@/);
  });

  test('a unit that is right is not touched again, and one of another version is', () => {
    shell('start_process');
    expect(shell('managed').status).toBe(0);
    expect(shell('start_process').out).toBe('systemctl start cumulet.service');
    writeFileSync(at('units/cumulet.service'), '[Service]\n');
    expect(shell('managed').status).not.toBe(0);
    expect(shell('start_process').out.split('\n')).toEqual([
      'systemctl daemon-reload',
      'systemctl start cumulet.service',
    ]);
  });

  test('a cloud that runs outside of the unit is not managed', () => {
    expect(shell('managed').status).not.toBe(0);
    shell('start_process');
    rmSync(at('active'));
    expect(shell('managed').status).not.toBe(0);
  });

  test('what systemd and the shell read otherwise in a path is quoted', () => {
    const odd = at('a % & "b" | \\c');
    mkdirSync(path.join(odd, 'systemd'), { recursive: true });
    writeFileSync(path.join(odd, 'systemd/cumulet.service'), 'ExecStart="@ROOT@/x"\n');
    const { out } = scriptShell(directory, `root='${odd}'; node=/n; unit_text`);
    expect(out).toBe(`ExecStart="${directory}/a %% & \\"b\\" | \\\\c/x"`);
  });

  test('down stops it, now and after a reboot, until the next up', () => {
    shell('start_process');
    const { status, out } = shell('run_down');
    expect(status).toBe(0);
    expect(out.split('\n')).toEqual([
      'systemctl stop cumulet.service',
      'systemctl disable cumulet.service',
      'The cloud is not running.',
    ]);
    expect(existsSync(at('enabled'))).toBe(false);
    expect(shell('start_process').out.split('\n')).toEqual(START.slice(1));
  });

  test('a purge removes the unit', () => {
    shell('start_process');
    expect(shell('run_down --purge').out).toMatch(/\nsystemctl disable cumulet.service\nsystemctl daemon-reload\n/);
    expect(existsSync(at('units/cumulet.service'))).toBe(false);
    expect(shell('remove_unit')).toEqual({ status: 0, out: '', err: '' });
  });

  test("libvirt's log daemon rests when no guest is left, and not while somebody's runs", () => {
    const rest = (): string => shell(`guest_pids=${at('run')}; rest_virtlogd`).out;
    writeFileSync(at('active'), '');
    rest();
    expect(existsSync(at('active'))).toBe(false);
    writeFileSync(at('active'), '');
    writeFileSync(at('run/theirs.pid'), '1\n');
    rest();
    expect(existsSync(at('active'))).toBe(true);
  });

  test('a first start that fails leaves no unit', () => {
    shell('start_process');
    shell(`before="${at('data')}"; take_back`);
    expect(existsSync(at('units/cumulet.service'))).toBe(false);
  });
});

test('without systemd it is a daemon, whose output is its log', () => {
  writeFileSync(at('node'), '#!/bin/sh\necho "$CUMULET_LOG_FILE $*"\n', { mode: 0o755 });
  const { out } = shell('setsid() { "$@"; }; node=$own/node; start_process; wait; cat $run_dir/cumulet.pid');
  expect(Number(out)).toBeGreaterThan(1);
  expect(readFileSync(at('log/cumulet.log'), 'utf8')).toBe(
    `${at('log/cumulet.log')} ${root}/standalone/dist/main.js --config ${at('etc')}/cumulet.yaml\n`,
  );
  expect(shell('managed').status).toBe(0);
});
