// The LAN of containers: a bridge with a way out, and a neighbour in a namespace of its own on it.
import { randomInt } from 'node:crypto';
import { exec, type Exec } from '@cumulet/common';

export interface Lan {
  /** First three numbers of its addresses. */
  readonly prefix: string;
  readonly bridge: string;
  readonly mtu: number;
  /** Runs a command on the neighbour. @throws CommandError */
  readonly neighbour: Exec;
  remove(): Promise<void>;
}

interface Route {
  readonly dev?: string;
}

interface Link {
  readonly mtu?: number;
}

/** The MTU of this machine's way out: what is larger would be lost behind a bridge. */
async function uplinkMtu(): Promise<number> {
  const [route] = JSON.parse((await exec(['ip', '-json', '-4', 'route', 'show', 'default'])).stdout || '[]') as Route[];
  if (route?.dev === undefined) throw new Error('this machine has no default route, and packages are fetched over it');
  const [link] = JSON.parse((await exec(['ip', '-json', 'link', 'show', 'dev', route.dev])).stdout) as Link[];
  return link?.mtu ?? 1500;
}

/** Bridge, namespace and table have the same one. */
const nameOf = (id: string): string => `lan-${id}`;

/** Removes all of it, whoever made it. @throws CommandError of the first part that could not be removed */
export async function removeLan(id: string): Promise<void> {
  const name = nameOf(id);
  const ended = await Promise.allSettled([
    exec(['nft', 'delete', 'table', 'ip', name]),
    exec(['ip', 'netns', 'del', name]),
    exec(['ip', 'link', 'del', 'dev', name]),
  ]);
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}

/** @param id makes its names, up to seven characters */
export async function makeLan(id: string): Promise<Lan> {
  const prefix = `10.${randomInt(100, 250)}.${randomInt(0, 250)}`;
  const name = nameOf(id);
  const [outer, mtu] = [`lann-${id}`, await uplinkMtu()];
  const forwarding = (await exec(['sysctl', '-n', 'net.ipv4.ip_forward'])).stdout.trim();
  const neighbour: Exec = (argv, options) => exec(['ip', 'netns', 'exec', name, ...argv], options);
  const lan: Lan = {
    prefix,
    bridge: name,
    mtu,
    neighbour,
    async remove() {
      await removeLan(id);
      if (forwarding === '0') await exec(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=0']);
    },
  };
  await exec(['ip', '-batch', '-'], {
    input: [
      `netns add ${name}`,
      `link add name ${name} mtu ${mtu} type bridge forward_delay 0`,
      `addr add ${prefix}.1/24 dev ${name}`,
      `link set dev ${name} up`,
      `link add name ${outer} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${name}`,
      `link set dev ${outer} master ${name} up`,
      '',
    ].join('\n'),
  });
  await neighbour(['ip', '-batch', '-'], {
    input: `addr add ${prefix}.50/24 dev eth0\nlink set dev lo up\nlink set dev eth0 up\n`,
  });
  const rule = `ip saddr ${prefix}.0/24 oifname != "${name}" masquerade`;
  await exec(['nft', '-f', '-'], {
    input: `table ip ${name} {\n chain out {\n  type nat hook postrouting priority 100\n  ${rule}\n }\n}\n`,
  });
  await exec(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  return lan;
}
