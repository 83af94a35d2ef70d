// Servers on the machines: where they are, whether they hear each other and the outside, and how they move.
import { systemClock } from '@cumulet/common';
import { soon } from '../containers/patience';
import { cloud, cloudJson, PATIENCE_SECONDS, type Stage } from './stage';

/** The documented servers. */
export const SERVERS = ['one', 'two'] as const;
export type ServerName = (typeof SERVERS)[number];

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly addresses: Readonly<
    Record<string, readonly { readonly addr: string; readonly 'OS-EXT-IPS:type': 'fixed' | 'floating' }[]>
  >;
  readonly 'OS-EXT-SRV-ATTR:host': string | null;
}

const show = (stage: Stage, name: ServerName): Promise<Shown> => cloudJson<Shown>(stage, `server show ${name}`);

/** @throws Error unless it is ACTIVE. @returns the name of its host */
async function hostOf(stage: Stage, name: ServerName): Promise<string> {
  const { status, 'OS-EXT-SRV-ATTR:host': host } = await show(stage, name);
  if (status !== 'ACTIVE') throw new Error(`server ${name} is ${status}`);
  return host ?? '-';
}

export async function serversActive(stage: Stage): Promise<string> {
  const hosts = await Promise.all(SERVERS.map((name) => hostOf(stage, name)));
  return SERVERS.map((name, at) => `${name} on ${hosts[at]}`).join(', ');
}

async function addressOf(stage: Stage, name: ServerName, type: 'fixed' | 'floating'): Promise<string> {
  const { addresses } = await show(stage, name);
  const found = Object.values(addresses)
    .flat()
    .find((address) => address['OS-EXT-IPS:type'] === type);
  if (!found) throw new Error(`server ${name} has no ${type} address`);
  return found.addr;
}

/** Runs a command in the server that has a floating IP. */
const inside = (stage: Stage, command: string): Promise<string> => cloud(stage, `server ssh one -- ${command}`);

export const bootId = (stage: Stage): Promise<string> =>
  soon(() => inside(stage, 'cat /proc/sys/kernel/random/boot_id'), PATIENCE_SECONDS);

/** Packets that came over VXLAN to the host of a server. */
async function tunnelled(stage: Stage, host: string): Promise<number> {
  const machine = stage.hosts.find(({ name }) => name === host);
  const counts = await machine?.asRoot(`cat /sys/class/net/vx*/statistics/rx_packets`);
  return (counts ?? '').split('\n').reduce((sum, count) => sum + Number(count), 0);
}

/** From one server to the other one, by the addresses of their network; through the tunnel where their hosts differ. */
export async function pingAcross(stage: Stage): Promise<string> {
  const [from, to] = [await hostOf(stage, 'one'), await hostOf(stage, 'two')];
  const address = await addressOf(stage, 'two', 'fixed');
  const before = await tunnelled(stage, to);
  await soon(() => inside(stage, `ping -c 3 -W 2 ${address}`), PATIENCE_SECONDS);
  const came = (await tunnelled(stage, to)) - before;
  if (from !== to && came < 3) throw new Error(`${to} got ${came} packets by VXLAN while ${from} pinged it`);
  return `${from} to ${to}, ${came} packets by VXLAN`;
}

/** From the LAN, where neither of the hosts is asked. */
export async function pingFromOutside(stage: Stage, seconds = PATIENCE_SECONDS): Promise<string> {
  const address = await addressOf(stage, 'one', 'floating');
  await soon(() => stage.lan.neighbour(['ping', '-c', '1', '-W', '1', address]), seconds);
  return `${address} answers`;
}

/** What the cloud must be able to do at any time. */
export async function works(stage: Stage): Promise<string> {
  const where = await soon(() => serversActive(stage), PATIENCE_SECONDS);
  await pingFromOutside(stage);
  await pingAcross(stage);
  return where;
}

const PING_MS = 200;
const CALM_MS = 2000;

/** Pings from the LAN until the work is done. @returns how many were lost, in words */
async function underPing(stage: Stage, work: () => Promise<unknown>): Promise<{ lost: number; sent: number }> {
  const address = await addressOf(stage, 'one', 'floating');
  const count = { lost: 0, sent: 0 };
  let done = false;
  const pings: Promise<void>[] = [];
  const one = async (): Promise<void> => {
    count.sent++;
    await stage.lan.neighbour(['ping', '-c', '1', '-W', '2', address]).catch(() => count.lost++);
  };
  const pinging = (async (): Promise<void> => {
    for (; !done; await systemClock.sleep(PING_MS)) pings.push(one());
  })();
  // Before and after it too.
  await systemClock.sleep(CALM_MS);
  try {
    await work();
    await systemClock.sleep(CALM_MS);
  } finally {
    done = true;
  }
  await pinging;
  await Promise.all(pings);
  return count;
}

/** To the other host while it runs; the guest must not notice but for a moment. */
export async function liveMigrate(stage: Stage): Promise<string> {
  const from = await hostOf(stage, 'one');
  const to = stage.hosts.find(({ name }) => name !== from)?.name;
  const before = await bootId(stage);
  const started = performance.now();
  const { lost, sent } = await underPing(stage, () =>
    cloud(stage, `server migrate --live-migration --host ${to} --wait one`, 300),
  );
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const at = await hostOf(stage, 'one');
  if (at !== to) throw new Error(`it is on ${at}, and should be on ${to}`);
  if ((await bootId(stage)) !== before) throw new Error('the guest was booted anew');
  return `from ${from} to ${to} in ${seconds} s, ${lost} of ${sent} pings lost (one each ${PING_MS} ms)`;
}
