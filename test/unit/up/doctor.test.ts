// What `doctor` finds about a machine, and what it says of it: every judge at every level, and the checks on a made-up machine.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scriptShell } from '../../support/scriptShell';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-doctor-'));
  mkdirSync(path.join(directory, 'state'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Verdicts, a line each; `machine` is where the made-up machine's files are. */
function verdicts(text: string): string[] {
  const { status, out, err } = scriptShell(directory, `machine=$own/machine; ${text}`);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  return out.split('\n');
}

/** Writes a file of the made-up machine. */
function put(name: string, text: string): void {
  const file = path.join(directory, 'machine', name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A program on the PATH, of a name that no function of the shell can have. */
function program(name: string, body: string): void {
  mkdirSync(path.join(directory, 'tools'), { recursive: true });
  writeFileSync(path.join(directory, 'tools', name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

test.each([
  ["judge_distribution 'Debian 12' debian 12 x86_64 yes", 'ok', 'distribution', /^Debian 12 on x86_64$/],
  ["judge_distribution 'Debian sid' debian 999 x86_64 yes", 'ok', 'distribution', /^Debian sid/],
  ["judge_distribution 'Ubuntu 22.04' ubuntu 22.04 x86_64 yes", 'ok', 'distribution', /^Ubuntu 22.04/],
  ["judge_distribution 'Debian 11' debian 11 x86_64 yes", 'problem', 'distribution', /^Debian 11 is not supported/],
  ["judge_distribution 'Ubuntu 20.04' ubuntu 20.04 x86_64 yes", 'problem', 'distribution', /^Ubuntu 20.04 is not supp/],
  ["judge_distribution 'Fedora 40' fedora 40 x86_64 yes", 'problem', 'distribution', /^Fedora 40 is not supported/],
  ["judge_distribution 'Debian 12' debian 12 aarch64 yes", 'problem', 'distribution', /^this machine is aarch64/],
  ["judge_distribution 'Debian 12' debian 12 x86_64 no", 'problem', 'distribution', /^apt-get is not there/],

  ['judge_node /usr/bin/node v22.1.0 ""', 'ok', 'Node.js', /^v22\.1\.0 at \/usr\/bin\/node$/],
  ['judge_node "" "" "Node.js 20 is needed"', 'problem', 'Node.js', /^Node\.js 20 is needed$/],
  ['judge_npm /n/node /n/npm yes', 'ok', 'npm', /^\/n\/npm$/],
  ['judge_npm /n/node "" yes', 'problem', 'npm', /^npm is not there beside \/n\/node: install it/],
  ['judge_npm /n/node "" no', 'warn', 'npm', /an upgrade needs it/],

  ['judge_packages yes ""', 'ok', 'packages', /^all are installed$/],
  ['judge_packages yes "" make g++', 'ok', 'packages', /^2 are missing, and up installs them: make g\+\+$/],
  ['judge_packages yes "are only half configured" make', 'warn', 'packages', /dpkg --configure -a/],
  ['judge_packages no "" make', 'unknown', 'packages', /dpkg-query is not there/],

  ['judge_virtualization vmx yes yes', 'ok', 'virtualization', /^KVM, with the processor's vmx$/],
  ['judge_virtualization svm yes denied', 'unknown', 'virtualization', /only root can see/],
  ['judge_virtualization svm yes no', 'warn', 'virtualization', /does not open.*emulated/],
  ['judge_virtualization vmx no no', 'warn', 'virtualization', /^the processor has vmx but .*emulated/],
  ['judge_virtualization "" yes yes', 'warn', 'virtualization', /no vmx or svm flag, so it cannot be used: .*emulated/],
  ['judge_virtualization "" no denied', 'warn', 'virtualization', /^no hardware virtualization here.*emulated/],

  ['judge_memory 1000 2000 yes', 'ok', 'memory', /^1000 of 2000 MiB/],
  ['judge_memory 999 2000 yes', 'problem', 'memory', /^only 999 of 2000 MiB of memory are available; 1000/],
  ['judge_memory 999 2000 no', 'ok', 'memory', /^999 of 2000 MiB/],
  ['judge_memory 199 2000 no', 'warn', 'memory', /^only 199 of 2000/],

  ['judge_disk /srv 3000 yes', 'ok', 'disk', /^3000 MiB are free in \/srv$/],
  ['judge_disk /srv 2999 yes', 'problem', 'disk', /^only 2999 MiB are free in \/srv, and 3000 MiB are needed/],
  ['judge_disk /srv 10 no', 'warn', 'disk', /^only 10 MiB are free in \/srv: /],

  ['judge_port 127.0.0.1 5000 "" no', 'ok', 'port', /^5000 on 127\.0\.0\.1 is free$/],
  ['judge_port 127.0.0.1 5000 "node (process 7)" yes', 'ok', 'port', /is the cloud's own, node \(process 7\)$/],
  [
    'judge_port 127.0.0.1 5000 "nginx (process 7)" no',
    'problem',
    'port',
    /^port 5000 on 127.* in use by nginx \(process 7\),/,
  ],

  ['judge_clock yes', 'ok', 'clock', /^the clock is synchronized$/],
  ['judge_clock no', 'warn', 'clock', /^the clock is not synchronized/],
  ['judge_clock ""', 'unknown', 'clock', /does not tell/],

  ['judge_resolver /f yes 9.9.9.9 fe80::1%eth0', 'ok', 'resolver', /^9\.9\.9\.9 fe80::1%eth0 \(from \/f\)$/],
  ['judge_resolver /f yes', 'problem', 'resolver', /^\/f names no name server/],
  ['judge_resolver /f no', 'warn', 'resolver', /^\/f names no name server/],

  ['judge_mtu eth0 1330', 'ok', 'uplink', /^eth0, packets of 1330 bytes$/],
  ['judge_mtu wg0 1329', 'warn', 'uplink', /^packets on wg0 have 1329 bytes at most/],
  ['judge_mtu "" ""', 'unknown', 'uplink', /^no default route/],

  ['judge_firewall no no no ACCEPT', 'ok', 'firewall', /^nobody else's/],
  ['judge_firewall yes no no DROP', 'ok', 'firewall', /^ufw is active.*ufw allow 5000\/tcp$/],
  ['judge_firewall no no yes DROP', 'ok', 'firewall', /^Docker has set the policy of FORWARD to DROP: servers are not/],
  ['judge_firewall no no yes ACCEPT', 'ok', 'firewall', /^Docker is here/],
  ['judge_firewall no no no DROP', 'ok', 'firewall', /^the policy of FORWARD is DROP: servers are not/],
  ['judge_firewall no yes no ACCEPT', 'ok', 'firewall', /^firewalld runs: the cloud asks it/],
  ['judge_firewall no no no ""', 'unknown', 'firewall', /^only root can see/],

  ['judge_libvirt "" no yes', 'ok', 'libvirt', /^not installed yet; up installs it$/],
  ['judge_libvirt 9.0.0 yes no', 'ok', 'libvirt', /^version 9\.0\.0, its socket answers$/],
  ['judge_libvirt 9.0.0 no yes', 'ok', 'libvirt', /not running; up starts it$/],
  ['judge_libvirt 9.0.0 no no', 'warn', 'libvirt', /nobody answers on its socket.*sudo cumulet up/],
  ['judge_libvirt 7.0.0 yes no', 'warn', 'libvirt', /^version 7\.0\.0 is older/],
])('%s: %s', (judge, level, subject, words) => {
  expect(verdicts(judge).map((line) => line.split('\t'))).toEqual([[level, subject, expect.stringMatching(words)]]);
});

test('several firewalls are told one by one', () => {
  const told = verdicts('judge_firewall yes yes yes ""').map((line) => line.replace(/^ok\tfirewall\t(\w+) .*/, '$1'));
  expect(told).toEqual(['ufw', 'firewalld', 'Docker']);
});

describe('on a machine', () => {
  test.each([
    ['ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"', /^ok\tdistribution\tDebian 12 on x86_64$/],
    ['ID=debian\nPRETTY_NAME="Debian testing"', /^ok\tdistribution\tDebian testing/],
    ['ID=arch', /^problem\tdistribution\tarch is not supported/],
  ])('the distribution is the one of os-release: %j', (text, told) => {
    put('etc/os-release', text);
    expect(verdicts('uname() { echo x86_64; }; check_distribution')).toEqual([expect.stringMatching(told)]);
  });

  test('without os-release it is unknown, and not supported', () => {
    expect(verdicts('check_distribution')).toEqual([expect.stringMatching(/^problem\tdistribution\tunknown is not/)]);
  });

  test.each([
    ['flags\t\t: fpu vme de pse', 'warn'],
    ['flags\t\t: fpu hypervisor ibpb_exit_to_user', 'warn'],
    ['vmx flags\t: vmx', 'warn'],
    ['flags\t\t: fpu vmx', 'ok'],
    ['flags\t\t: fpu svm de', 'ok'],
  ])('KVM needs the flag of the processor as well as the device: %j', (line, level) => {
    put('proc/cpuinfo', `processor\t: 0\n${line}\n`);
    // A device that everybody may open.
    symlinkSync('/dev/null', path.join(directory, 'machine', 'kvm'));
    expect(verdicts('kvm_device=/kvm; check_virtualization')).toEqual([expect.stringMatching(`^${level}\t`)]);
  });

  test.each([
    [0, 'warn'],
    [1000, 'unknown'],
  ])('a device that does not open is judged by who asks: user %i', (user, level) => {
    put('proc/cpuinfo', 'flags\t\t: vmx\n');
    const check = `yes_if() { echo yes; }; kvm_device=/none/kvm; id() { echo ${user}; }; check_virtualization`;
    expect(verdicts(check)).toEqual([expect.stringMatching(`^${level}\t`)]);
  });

  test('the memory that counts is what programs can have', () => {
    put('proc/meminfo', 'MemTotal: 4096000 kB\nMemFree: 100 kB\nMemAvailable: 2048000 kB\n');
    expect(verdicts('check_memory')).toEqual(['ok\tmemory\t2000 of 4000 MiB are available']);
  });

  const free =
    'df() { case $2 in */machine) echo head; echo fs 9 9 10 9% /m;; *) echo head; echo fs 9 9 20 9% /;; esac; };';

  test('room is asked for where data and checkout will be, once if that is one filesystem', () => {
    mkdirSync(path.join(directory, 'machine'));
    const told = verdicts(`${free} root=$own/machine; data_dir=$own/not/yet/there; check_disk`);
    expect(told.map((line) => /only (\d+ MiB are free in .*), and/.exec(line)?.[1])).toEqual([
      `20 MiB are free in ${directory}`,
      `10 MiB are free in ${directory}/machine`,
    ]);
    expect(verdicts(`${free} root=$own; data_dir=$own/not/yet/there; check_disk`)).toHaveLength(1);
  });

  test.each([
    ['nothing of a cloud', 'mkdir -p "$data_dir/lost+found"', 'problem'],
    ['data', 'mkdir -p "$data_dir/images"', 'warn'],
    ['a configuration', 'mkdir "$config_dir"; : > "$config_dir/cumulet.yaml"', 'warn'],
  ])('with %s on it a full disk is judged accordingly', (_, made, level) => {
    expect(verdicts(`${made}; df() { echo head; echo fs 9 9 10 9% /; }; check_disk`)[0]).toMatch(`${level}\tdisk`);
  });

  const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
  const socket = (local: string, state: string, inode: number) =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1\n`;

  /** A machine where process 77, nginx, has socket 4711 open. */
  function listening(local: string, file = 'tcp', state = '0A'): void {
    put('proc/net/tcp', HEAD);
    put('proc/net/tcp6', HEAD);
    put(`proc/net/${file}`, HEAD + socket('0100007F:0016', '0A', 1) + socket(local, state, 4711));
    put('proc/77/comm', 'nginx\n');
    put('proc/78/comm', 'other\n');
    for (const pid of [77, 78]) mkdirSync(path.join(directory, `machine/proc/${pid}/fd`));
    symlinkSync('socket:[4711]', path.join(directory, 'machine/proc/77/fd/3'));
    symlinkSync('socket:[47110]', path.join(directory, 'machine/proc/78/fd/3'));
  }

  test.each([
    ['its address', '0100007F:1388', 'tcp'],
    ['all addresses', '00000000:1388', 'tcp'],
    ['all of both families', '00000000000000000000000000000000:1388', 'tcp6'],
    ['its address by a socket of IPv6', '0000000000000000FFFF00000100007F:1388', 'tcp6'],
  ])('who has the port on %s is named', (_, local, file) => {
    listening(local, file);
    expect(verdicts('check_ports')).toEqual([expect.stringMatching(/^problem.*in use by nginx \(process 77\),/)]);
    expect(verdicts('cloud_pid() { echo 77; }; check_ports')).toEqual([expect.stringMatching(/^ok.*the cloud's own/)]);
  });

  test.each([
    ['another address', '0200007F:1388', '0A'],
    ['another port', '0100007F:1389', '0A'],
    ['a connection', '0100007F:1388', '01'],
  ])('%s is nobody in the way', (_, local, state) => {
    listening(local, 'tcp', state);
    expect(verdicts('check_ports')).toEqual(['ok\tport\t5000 on 127.0.0.1 is free']);
  });

  test.each([
    [0, 'another program'],
    [1000, 'a program that only root can see'],
  ])('whose process cannot be seen has the port all the same: user %i', (user, holder) => {
    listening('0100007F:1388');
    const check = `id() { echo ${user}; }; owner() { :; }; check_ports`;
    expect(verdicts(check)).toEqual([expect.stringContaining(`in use by ${holder},`)]);
  });

  test('ports are asked for where the configuration and the option of this run say', () => {
    listening('0500000A:1388');
    put('../etc/cumulet.yaml', 'listen: "127.0.0.1:5000"\nhealth:\n  listen: 127.0.0.1:5110\n');
    const levels = verdicts('up_listen=10.0.0.5; check_ports').map((line) => line.split('\t')[0]);
    expect(levels).toEqual(['ok', 'ok', 'problem']);
    expect(verdicts('up_listen=cloud.example; check_ports')).toHaveLength(2);
  });

  test('the clock is judged by what timedatectl says', () => {
    expect(verdicts('timeout() { echo yes; }; check_clock')).toEqual(['ok\tclock\tthe clock is synchronized']);
    expect(verdicts('check_clock')[0]).toMatch(/^unknown/);
  });

  test('the name servers are those that systemd-resolved asks, not its own address', () => {
    expect(verdicts('check_resolver')[0]).toMatch(/^problem/);
    put('etc/resolv.conf', 'nameserver 127.0.0.53\nnameserver 10.0.0.1\n');
    expect(verdicts('check_resolver')[0]).toContain('127.0.0.53 10.0.0.1 (from /etc/resolv.conf)');
    put('run/systemd/resolve/resolv.conf', '# nameserver 1.1.1.1\nnameserver 10.0.0.2\nsearch example\n');
    expect(verdicts('check_resolver')).toEqual(['ok\tresolver\t10.0.0.2 (from /run/systemd/resolve/resolv.conf)']);
    put('run/systemd/resolve/resolv.conf', 'search example\n');
    expect(verdicts('check_resolver')[0]).toMatch(/^problem\tresolver\t\/run\/systemd/);
  });

  test('the uplink is the default route with the lowest metric', () => {
    expect(verdicts('check_uplink')[0]).toMatch(/^unknown/);
    put('sys/class/net/wg0/mtu', '1280\n');
    put('sys/class/net/eth0/mtu', '1500\n');
    put('proc/net/ipv6_route', `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 1 1 1 1 wg0\n`);
    expect(verdicts('check_uplink')[0]).toMatch(/^warn\tuplink\tpackets on wg0 have 1280/);
    const route = (name: string, metric: number, to = '00000000') =>
      `${name} ${to} 0101A8C0 3 0 0 ${metric} ${to} 0 0 0\n`;
    put(
      'proc/net/route',
      `Iface Destination\n${route('tun0', 0, '000000FF')}${route('wg0', 600)}${route('eth0', 100)}`,
    );
    expect(verdicts('check_uplink')).toEqual(['ok\tuplink\teth0, packets of 1500 bytes']);
  });

  test('firewalls are found by their settings and processes, those of containers left out', () => {
    const processes = { 1: ['systemd', 'net:[1]'], 2: ['firewalld', 'net:[2]'], 3: ['dockerd', 'net:[1]'] };
    for (const [pid, [name = '', namespace = '']] of Object.entries(processes)) {
      put(`proc/${pid}/comm`, `${name}\n`);
      mkdirSync(path.join(directory, 'machine/proc', pid, 'ns'));
      symlinkSync(namespace, path.join(directory, 'machine/proc', pid, 'ns/net'));
    }
    symlinkSync('1', path.join(directory, 'machine/proc/self'));
    put('etc/ufw/ufw.conf', '# ENABLED=no\nENABLED=yes\n');
    program('iptables-save', 'printf "*nat\\n:FORWARD ACCEPT [0:0]\\n*filter\\n:FORWARD DROP [0:0]\\n"');
    const told = verdicts('id() { echo 0; }; check_firewall');
    expect(told).toEqual([expect.stringContaining('ufw is active'), expect.stringContaining('Docker has set')]);
    put('etc/ufw/ufw.conf', 'ENABLED=no\n');
    put('proc/3/comm', 'containerd\n');
    // Tables that nobody has made yet let everything through.
    program('iptables-save', '');
    expect(verdicts('id() { echo 0; }; check_firewall')[0]).toMatch(/^ok\tfirewall\tnobody/);
    expect(verdicts('id() { echo 1; }; check_firewall')[0]).toMatch(/^unknown/);
  });

  test('libvirt answers when somebody listens on its socket', () => {
    const libvirtd = 'libvirtd() { echo "libvirtd (libvirt) 9.0.0"; };';
    const line = (flags: string) => `0: 00000002 00000000 ${flags} 0001 01 7 /run/libvirt/libvirt-sock\n`;
    put('proc/net/unix', line('00000000'));
    expect(verdicts(`${libvirtd} check_libvirt`)).toEqual(['ok\tlibvirt\tversion 9.0.0, not running; up starts it']);
    put('proc/net/unix', line('00010000'));
    expect(verdicts(`${libvirtd} check_libvirt`)).toEqual(['ok\tlibvirt\tversion 9.0.0, its socket answers']);
    expect(verdicts('check_libvirt')).toEqual(['ok\tlibvirt\tnot installed yet; up installs it']);
  });

  test('Node.js is the one that the cloud would run with, and npm is beside it or on the PATH', () => {
    put('bin/node', '#!/bin/sh\necho v22.1.0\n');
    const found = 'chmod 755 $machine/bin/*; find_node() { node=$machine/bin/node; };';
    const [node, npm] = verdicts(`${found} check_node`);
    expect(node).toBe(`ok\tNode.js\tv22.1.0 at ${directory}/machine/bin/node`);
    expect(npm).toMatch(/^problem\tnpm/);
    put('bin/npm', '');
    expect(verdicts(`${found} check_node`)[1]).toBe(`ok\tnpm\t${directory}/machine/bin/npm`);
    const refused = 'find_node() { echo "cumulet: Node.js 20 is needed" >&2; exit 1; };';
    expect(verdicts(`${refused} check_node`)).toEqual(['problem\tNode.js\tNode.js 20 is needed']);
  });

  test('packages are missing that dpkg does not call installed', () => {
    const asked = "COMPILER='python3 make'; RUNTIME=qemu-utils;";
    expect(verdicts(`${asked} check_packages`)[0]).toMatch(/^unknown/);
    program('dpkg-query', "printf 'make installed\\nqemu-utils config-files\\n'");
    expect(verdicts(`${asked} dpkg() { :; }; check_packages`)).toEqual([
      'ok\tpackages\t2 are missing, and up installs them: python3 qemu-utils',
    ]);
    expect(verdicts(`${asked} dpkg() { echo "half configured"; }; check_packages`)[0]).toMatch(/^warn/);
  });
});

describe('the command', () => {
  const CHECKS = `check_a() { printf 'ok\\tdisk\\tfree\\n'; }; check_b() { printf 'warn\\tclock\\ta "\\\\" here\\n'; };
    check_c() { printf 'problem\\tport\\ttaken by one who has it already, and who will keep it for all of the day to come\\n'; };`;
  const doctor = (checks: string, words = '') =>
    scriptShell(directory, `${CHECKS} ALL_CHECKS='${checks}'; id() { echo 0; }; run_doctor ${words}`);

  test('says in words whether the cloud can run here', () => {
    const fit = doctor('a b');
    expect(fit).toMatchObject({ status: 0, err: '' });
    expect(fit.out).toMatch(
      /^ok {7}disk {11}free\nwarning {2}clock {10}a .*\n\nThe cloud can run here \(1 warning\)\.$/,
    );
    const unfit = doctor('c');
    expect(unfit.status).toBe(1);
    expect(unfit.out).toMatch(
      /\n {24}for all of the day to come\n\n1 problem to mend before the cloud can run here\.$/,
    );
  });

  test('says it for programs as JSON', () => {
    const { status, out } = doctor('a b c', '-f json');
    expect(status).toBe(1);
    expect(JSON.parse(out)).toEqual([
      { level: 'ok', subject: 'disk', text: 'free' },
      { level: 'warn', subject: 'clock', text: 'a "\\" here' },
      { level: 'problem', subject: 'port', text: expect.stringMatching(/^taken/) },
    ]);
  });

  test('tells others than root what they could not see', () => {
    const seen = "check_d() { printf 'unknown\\tport\\tonly root can see\\n'; }; id() { echo 1000; }; ALL_CHECKS=d;";
    expect(scriptShell(directory, `${seen} run_doctor`).out).toMatch(
      /Not everything could be seen: sudo cumulet doctor/,
    );
    expect(doctor('a').out).not.toContain('Not everything');
  });

  test('explains itself with an example, and refuses what it does not know', () => {
    expect(doctor('a', '--help')).toMatchObject({
      status: 0,
      out: expect.stringMatching(/example: sudo cumulet doctor$/),
    });
    expect(doctor('a', '-f')).toMatchObject({ status: 2, err: expect.stringContaining('does not know -f') });
    expect(doctor('a', '-f xml')).toMatchObject({ status: 2, out: '' });
  });
});

describe('before anything else', () => {
  const machine = (lines: string, env: Readonly<Record<string, string>> = { starts_cloud: 'yes' }) => {
    const checks = `examine() { echo "asked: $*"; printf '${lines}'; }; check_virtualization() { printf 'warn\\tx\\ty\\n'; };`;
    return scriptShell(
      directory,
      `${checks} fail() { echo "fail: $*"; exit 1; }; warn() { echo "warn: $*"; }; detail() { echo "detail: $*"; }; task_machine`,
      env,
    );
  };

  test('up is stopped by problems, all of them told', () => {
    const { status, out } = machine('ok\\ta\\tgood\\nproblem\\tb\\tbad\\nwarn\\tc\\todd\\nproblem\\td\\tworse\\n');
    expect(status).toBe(1);
    expect(out).toMatch(/\nfail: bad\nworse$/);
    expect(out).not.toContain('warn: ');
  });

  test('up keeps warnings for its last screen', () => {
    const { status, out } = machine('ok\\ta\\tDebian\\nunknown\\tb\\tnot told\\nwarn\\tc\\todd\\n');
    expect(status).toBe(0);
    expect(out).toMatch(/\nwarn: odd\ndetail: Debian, \d+ CPUs, no KVM: QEMU emulation$/);
    expect(out).toContain('asked: distribution virtualization memory disk ports');
  });

  test('down and test ask for the distribution only', () => {
    expect(machine('', {}).out).toMatch(/^asked: distribution\n/);
  });
});
