// What somebody does with the cloud in the first hour, and what they must see.
import type { Lan } from '../containers/lan';
import type { Machine } from '../containers/machine';
import { expectWords, soon as sooner } from '../containers/patience';

export interface Stage {
  readonly machine: Machine;
  readonly lan: Lan;
  /** The own server's, of the LAN; once it has one. */
  lanAddress?: string;
}

/** Emulated guests boot in half a minute; what reloads took away is back within this too. */
const PATIENCE_SECONDS = 30;
const UP_SECONDS = 900;
const SSH = 'ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5';

const soon = <T>(work: () => Promise<T>, seconds = PATIENCE_SECONDS): Promise<T> => sooner(work, seconds);

/** A command of the client as the project's user. */
const cloud = (command: string): string => `cd cumulet && OS_CLOUD=cumulet-demo ./cumulet ${command}`;

const rangeOptions = ({ lan }: Stage): string =>
  `--floating-range ${lan.prefix}.200-${lan.prefix}.207 --floating-interface host0`;

/** Runs it and returns what it says; it must not succeed. */
async function refused(stage: Stage, command: string): Promise<string> {
  const said = await stage.machine.asUser(`if (${command}) 2>&1; then echo IT SUCCEEDED; fi`, UP_SECONDS);
  if (said.includes('IT SUCCEEDED')) throw new Error(`this should have been refused: ${command}\n${said}`);
  return said;
}

export async function up({ machine }: Stage, options = ''): Promise<string> {
  const said = await machine.asUser(`cd cumulet && sudo ./cumulet up ${options} 2>&1`, UP_SECONDS);
  return expectWords(said, /The cloud is up: \S+/);
}

export const upWithRange = (stage: Stage): Promise<string> => up(stage, rangeOptions(stage));

export async function demoServer({ machine }: Stage): Promise<string> {
  const name = await soon(() => machine.asUser(cloud('server ssh hello -- hostname')));
  return `it calls itself ${expectWords(name, /^hello$/m)}`;
}

export async function ownServer({ machine }: Stage): Promise<string> {
  await machine.asUser(
    cloud('server create --image tiny --flavor m1.nano --network demo --key-name default --wait mine'),
    180,
  );
  const address = await machine.asUser(cloud('floating ip create public -f value -c floating_ip_address'));
  await machine.asUser(cloud(`server add floating ip mine ${address}`));
  const name = await soon(() => machine.asUser(cloud('server ssh mine -- hostname')), 90);
  return `${expectWords(name, /^mine$/m)} at ${address}`;
}

/** The name of a machine that this one gets its packages from. */
export async function outsideName({ machine }: Stage): Promise<string> {
  const host = await machine.asRoot(
    `cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | grep -v '^#' | grep -o '://[^/ ]*' | head -n 1 | cut -c4-`,
  );
  const said = await soon(() => machine.asUser(cloud(`server ssh hello -- nslookup ${host}`)));
  const answers = said.slice(said.indexOf(host));
  return `${host} has ${expectWords(answers, /(?<=Address(?: \d+)?:\s+)\d+\.\d+\.\d+\.\d+/)}`;
}

export async function badValues(stage: Stage): Promise<string> {
  const { machine, lan } = stage;
  const before = await machine.asRoot('cat /etc/cumulet/cumulet.yaml; ip neigh show proxy');
  const wrong: readonly [string, RegExp][] = [
    [`--floating-range ${lan.prefix}.200-${lan.prefix}.207`, /go together/],
    [`--floating-range ${lan.prefix}.40-${lan.prefix}.60 --floating-interface host0`, /another machine on host0 has/],
    [`--floating-range ${lan.prefix}.2-${lan.prefix}.9 --floating-interface host0`, /this machine's own address/],
    [`--floating-range 192.0.2.1-192.0.2.9 --floating-interface host0`, /is not inside the network of host0/],
    [`--floating-range ${lan.prefix}.200-${lan.prefix}.207 --floating-interface eth7`, /no interface eth7/],
    [`--floating-range ${lan.prefix}.207-${lan.prefix}.200 --floating-interface host0`, /ends before it begins/],
  ];
  for (const [options, words] of wrong)
    expectWords(await refused(stage, `cd cumulet && sudo ./cumulet up ${options}`), words);
  const after = await machine.asRoot('cat /etc/cumulet/cumulet.yaml; ip neigh show proxy');
  if (after !== before) throw new Error(`a refused range changed something:\n${before}\nbecame\n${after}`);
  return `${wrong.length} refused, nothing changed`;
}

/** Gives the own server an address of the range instead of the one that only this machine reaches. */
export async function lanAddress(stage: Stage): Promise<string> {
  const { machine, lan } = stage;
  const before = await machine.asUser(cloud('floating ip list --long -f value'));
  const port = await machine.asUser(cloud('port list --server mine -f value -c id'));
  const old = before.split('\n').find((line) => line.includes(port));
  const address = await machine.asUser(cloud('floating ip create public -f value -c floating_ip_address'));
  expectWords(address, new RegExp(`^${lan.prefix.replaceAll('.', '\\.')}\\.20[0-7]$`));
  await machine.asUser(cloud(`server remove floating ip mine ${expectWords(old ?? '', /172\.[0-9.]+/)}`));
  await machine.asUser(cloud(`server add floating ip mine ${address}`));
  stage.lanAddress = address;
  return neighbourReaches(stage);
}

/** From the LAN: ping, and a login with the user's key. */
export async function neighbourReaches({ machine, lan, lanAddress: address }: Stage): Promise<string> {
  if (address === undefined) throw new Error('no server has an address of the LAN');
  const key = `${machine.root}/home/lena/.ssh/id_ed25519`;
  await soon(() => lan.neighbour(['ping', '-c', '1', '-W', '1', address]));
  const login = [...SSH.split(' '), '-i', key, `root@${address}`, 'hostname'];
  const { stdout } = await soon(() => lan.neighbour(login));
  return `ping and ssh to ${address}, which is ${stdout.trim()}`;
}

async function neighbourReachesNobody({ lan, lanAddress: address = '' }: Stage): Promise<void> {
  await lan.neighbour(['ip', 'neigh', 'flush', 'all']);
  const reached = await lan.neighbour(['ping', '-c', '2', '-W', '1', address]).then(
    () => true,
    () => false,
  );
  if (reached) throw new Error(`${address} still answers`);
}

/** Leaves out the options of the range. */
export async function upWithoutRange(stage: Stage): Promise<string> {
  await up(stage);
  await neighbourReachesNobody(stage);
  const left = await stage.machine.asRoot(
    'ip neigh show proxy; ip route show proto 197; grep floating /etc/cumulet/cumulet.yaml || true',
  );
  if (left !== '') throw new Error(`something of the range is left: ${left}`);
  return `${stage.lanAddress} is nobody's, no proxy or route is left`;
}

/** Opens the address of a console as a browser's script does, and says how that ended. */
const KNOCK = `
const { WebSocket } = require(process.argv[1] + '/node_modules/ws');
const socket = new WebSocket(process.argv[2].replace(/^http/, 'ws'), 'binary');
let text = '';
socket.on('open', () => setInterval(() => socket.send('\\r'), 1000).unref());
socket.on('message', (bytes) => { text += bytes; if (text.includes('login:')) socket.close(1000, 'a prompt'); });
socket.on('close', (code, reason) => { console.log(text.includes('login:') ? 'a prompt' : code + ' ' + reason); process.exit(); });
setTimeout(() => { console.log('no prompt in 20 s: ' + text); process.exit(); }, 20000);
`;

export async function consoleTicket({ machine }: Stage): Promise<string> {
  const url = await machine.asUser(cloud('console url show --serial hello -f value -c url'));
  const knock = (): Promise<string> =>
    machine.asUser(`cd cumulet && node -e '${KNOCK.replaceAll("'", `'\\''`)}' "$PWD" '${url}'`);
  expectWords(await knock(), /^a prompt$/);
  for (const _ of [1, 2]) expectWords(await knock(), /used already/);
  return 'a prompt; then twice "it was used already"';
}

/** After a reboot: by itself where systemd has the cloud's unit, else by `up`. */
export async function back(stage: Stage): Promise<string> {
  const { machine } = stage;
  const unit = await machine.asRoot('systemctl is-enabled cumulet 2> /dev/null || true');
  if (unit === 'enabled') {
    await soon(
      () =>
        machine.asRoot(
          'curl -sf http://127.0.0.1:5000/healthz || node -e \'fetch("http://127.0.0.1:5000/healthz").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))\'',
        ),
      90,
    );
  } else await upWithRange(stage);
  return unit === 'enabled' ? 'by itself' : 'by up: no unit of systemd starts it';
}

export async function serversRun(stage: Stage): Promise<string> {
  const names: string[] = [];
  for (const name of ['hello', 'mine'])
    names.push(await soon(() => stage.machine.asUser(cloud(`server ssh ${name} -- hostname`)), 120));
  return names.join(' and ');
}

const bootId = ({ machine }: Stage): Promise<string> =>
  soon(
    () =>
      machine.asUser(
        `${SSH} root@$(${cloud('server show hello -f value -c addresses')} | grep -oE '172[0-9.]+|[0-9.]+$' | tail -n 1) cat /proc/sys/kernel/random/boot_id`,
      ),
    90,
  );

export async function previousUp(stage: Stage, commit: string): Promise<string> {
  await stage.machine.asUser(`cd cumulet && git reset -q --hard ${commit}`);
  await up(stage);
  return `commit ${commit.slice(0, 7)}`;
}

/** `git pull && sudo ./cumulet up`; the guest must not notice. */
export async function upgrade(stage: Stage, newest: string): Promise<string> {
  const { machine } = stage;
  const before = await bootId(stage);
  await machine.asUser('cd cumulet && git pull -q --ff-only', 120);
  expectWords(await machine.asUser('cd cumulet && git rev-parse HEAD'), new RegExp(newest));
  await up(stage);
  const after = await bootId(stage);
  if (after !== before) throw new Error('the server was booted anew by the upgrade');
  return `now commit ${newest.slice(0, 7)}; hello ran on`;
}

export async function purge(stage: Stage, options: string): Promise<string> {
  const said = await stage.machine.asUser(`cd cumulet && sudo ./cumulet down --purge ${options} < /dev/null 2>&1`, 600);
  return expectWords(said, /The cloud is removed[^.]*/);
}
