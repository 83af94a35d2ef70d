// What a machine is: packages, files, rules, settings, links, units. Two of them are compared line by line.
import type { Machine } from './machine';

/** Lines by section. */
export type Snapshot = ReadonlyMap<string, readonly string[]>;

/** Where files are looked at: all that is neither a package's own nor gone at the next boot. */
const PLACES = '/etc /var/lib /var/spool /usr/local /opt /srv /root /home';

/** What is left out, and why. */
const UNTOLD_FILES: readonly [string, string][] = [
  ['/var/lib/apt', 'lists of packages'],
  ['/var/lib/dpkg', 'records of packages, which are compared by themselves'],
  ['/var/lib/systemd', 'its random seed, and when timers ran'],
  ['/etc/ld.so.cache', 'made anew with each package'],
  ['/var/lib/sgml-base', 'made anew with each package'],
  ['"/etc/group*"', 'compared by their lines, as accounts'],
  ['"/etc/gshadow*"', 'the same'],
  ['/home/lena/cumulet', 'the checkout, in which node_modules and the build stay'],
  ['/home/lena/.npm', 'the cache of npm'],
  ['/root/.npm', 'the cache of npm'],
  ['/srv/cumulet.git', 'where the checkout comes from'],
];

/** Settings that count, measure, or are drawn by lot at each boot. */
const COUNTERS = [
  'fs\\.(dentry-state|inode-(nr|state)|file-nr|aio-nr|epoll|quota)',
  'kernel\\.(random|ns_last_pid|pty\\.nr|tainted|hung_task_detect_count|perf_event_max_sample_rate)',
  'net\\.(netfilter\\.nf_conntrack_count|ipv4\\.tcp_fastopen_key)',
  'vm\\.(stat|nr_)',
].join('|');

/** Services that systemd starts for a question and ends by itself. */
const ASKED = 'systemd-(timedated|hostnamed|localed)';
/** Groups that packages make and Debian leaves when they are removed. */
const LEFT_GROUPS = 'rdma';

const prune = UNTOLD_FILES.map(([path]) => `-path ${path}`).join(' -o ');
const withoutCounts = `sed -E 's/ ?\\[[0-9]+:[0-9]+\\]//; /^#/d'`;

/** firewalld keeps the chains of a zone that was used once, with nothing leading to them, until it is reloaded. What leads there is told. */
const WITHOUT_IDLE = `awk '/chain .*libvirt-routed/ {idle = 1} !idle; idle && /^\\t}/ {idle = 0}'`;

/** Shell commands whose sorted output is a section; `order` is kept where it matters. */
const SECTIONS: readonly { name: string; command: string; order?: true }[] = [
  {
    name: 'packages',
    command: `dpkg-query -W -f '\${Package} \${Version} \${db:Status-Status}\\n'`,
  },
  {
    name: 'files',
    command: `find ${PLACES} \\( ${prune} \\) -prune -o -printf '%p %y %m %u:%g %l\\n';
      find ${PLACES} \\( ${prune} \\) -prune -o -type f -print0 | xargs -0 sha256sum | awk '{sum = $1; $1 = ""; print substr($0, 2), sum}'`,
  },
  { name: 'accounts', command: `getent passwd; getent group | grep -vE '^(${LEFT_GROUPS}):'` },
  { name: 'iptables', command: `iptables-save | ${withoutCounts}`, order: true },
  { name: 'ip6tables', command: `ip6tables-save | ${withoutCounts}`, order: true },
  { name: 'nft', command: `nft -s list ruleset | ${WITHOUT_IDLE}`, order: true },
  { name: 'ipset', command: 'command -v ipset > /dev/null && ipset list -n || true' },
  { name: 'sysctl', command: `sysctl -a 2> /dev/null | grep -vE '^(${COUNTERS})'` },
  {
    name: 'links',
    command: `ip -o -details link show | sed -E 's/^[0-9]+: //; s/@[^:]*//; s/ (gc_timer|hello_timer|tcn_timer|topology_change_timer) +[0-9.]+//g'`,
  },
  { name: 'addresses', command: `ip -o address show | sed -E 's/^[0-9]+: //; s/ +(valid|preferred)_lft .*//'` },
  { name: 'routes', command: 'ip route show table all; ip -6 route show table all; ip rule; ip -6 rule' },
  { name: 'proxies', command: 'ip neigh show proxy; ip -6 neigh show proxy' },
  { name: 'namespaces', command: 'ip netns list' },
  {
    name: 'libvirt',
    command: 'virsh list --all --name; virsh net-list --all; virsh nwfilter-list; virsh pool-list --all',
  },
  { name: 'firewalld', command: 'firewall-cmd --list-all-zones 2> /dev/null || true' },
  {
    name: 'units',
    command: `systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}';
      systemctl list-units --no-legend --plain --all --type=service,socket,path | grep -vE '@| not-found |^(run-|session|user|${ASKED})' | awk '{print $1, $2, $3}'`,
  },
  {
    name: 'processes',
    command: `ps -e -o comm= | grep -vE '^(ps|bash|sh|sudo|awk|sort|sed|grep|systemd.*|\\(sd-.*)$' | sort -u`,
  },
  {
    name: 'others',
    command: 'ls -1 /run /var/cache /var/log /tmp /var/tmp /usr/share/bash-completion/completions 2> /dev/null',
  },
];

/**
 * Names that come as the system goes on: of logins, packages and services in general; `netns` and `ipset` are directories that ip and
 * ipset keep until the next boot.
 */
const COMES_AND_GOES =
  /^(utmp|log|initctl|.*\.pid|.*\.lock|apt|dpkg.*|alternatives\.log|systemd-private-.*|[bw]tmp.*|lastlog|faillog|netns|ipset)$/;

/** @param only sections with these names; all unless given */
export async function takeSnapshot(machine: Machine, only?: readonly string[]): Promise<Snapshot> {
  const sections = new Map<string, readonly string[]>();
  // Addresses of links that just came up are not in use yet.
  await machine.asRoot('for i in $(seq 50); do ip -6 address show tentative | grep -q . || break; sleep 0.2; done');
  for (const { name, command, order } of SECTIONS.filter((one) => only?.includes(one.name) ?? true)) {
    const lines = (await machine.asRoot(command, 300)).split('\n').filter((line) => line.trim() !== '');
    const known = name === 'others' ? lines.filter((line) => !COMES_AND_GOES.test(line)) : lines;
    sections.set(name, order ? known : [...new Set(known)].sort());
  }
  return sections;
}

/** Lines of the second that the first has not, each as often as it is missing. */
function surplus(first: readonly string[], second: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of first) left.set(line, (left.get(line) ?? 0) + 1);
  return second.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}

/** What is there now and was not, and the other way round, in words. Empty for equal machines. */
export function differences(
  before: Snapshot,
  after: Snapshot,
  allowed: (section: string, line: string) => boolean,
): string[] {
  return [...after].flatMap(([name, lines]) => {
    const old = before.get(name) ?? [];
    const marked = (sign: string, some: readonly string[]): string[] =>
      some.filter((line) => !allowed(name, line)).map((line) => `${name} ${sign} ${line}`);
    const changed = [...marked('-', surplus(lines, old)), ...marked('+', surplus(old, lines))];
    const told = (all: readonly string[]): string => all.filter((line) => !allowed(name, line)).join('\n');
    const moved = changed.length === 0 && told(lines) !== told(old);
    return moved ? [`${name}: the same lines in another order`] : changed;
  });
}

/**
 * For a machine whose new packages stay: allows what they own, and what dpkg and systemd keep about them.
 * @returns a judge for {@link differences}
 */
export async function ofNewPackages(
  before: Snapshot,
  machine: Machine,
): Promise<(section: string, line: string) => boolean> {
  const known = new Set((before.get('packages') ?? []).map((line) => line.split(' ')[0]));
  const now = (await machine.asRoot(`dpkg-query -W -f '\${Package}\\n'`)).split('\n');
  const fresh = now.filter((name) => !known.has(name));
  if (fresh.length === 0) return () => false;
  const paths = (await machine.asRoot(`dpkg-query -L ${fresh.join(' ')}`)).split('\n');
  const owned = new Set(paths);
  const units = new Set(
    paths.filter((path) => path.includes('/systemd/system/')).map((path) => path.split('/').at(-1)),
  );
  return (section, line) => {
    const [first = ''] = line.split(' ');
    if (section === 'packages') return fresh.includes(first);
    if (section === 'files')
      return owned.has(first) || first.startsWith('/etc/alternatives/') || units.has(first.split('/').at(-1));
    return section === 'units' && units.has(first);
  };
}
