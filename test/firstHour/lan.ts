// The LAN of the first hour: a bridge with a way out, and a neighbour in a namespace of its own on it.
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

/** @param id makes its names, up to seven characters */
export async function makeLan(id: string): Promise<Lan> {
  const prefix = `10.${randomInt(100, 250)}.${randomInt(0, 250)}`;
  const [bridge, namespace, table] = [`fh-${id}`, `fh-${id}`, `first-hour-${id}`];
  const [outer, mtu] = [`fhn-${id}`, await uplinkMtu()];
  const forwarding = (await exec(['sysctl', '-n', 'net.ipv4.ip_forward'])).stdout.trim();
  const neighbour: Exec = (argv, options) => exec(['ip', 'netns', 'exec', namespace, ...argv], options);
  const lan: Lan = {
    prefix,
    bridge,
    mtu,
    neighbour,
    async remove() {
      const ended = await Promise.allSettled([
        exec(['nft', 'delete', 'table', 'ip', table]),
        exec(['ip', 'netns', 'del', namespace]),
        exec(['ip', 'link', 'del', 'dev', bridge]),
        ...(forwarding === '0' ? [exec(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=0'])] : []),
      ]);
      const failed = ended.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
  await exec(['ip', '-batch', '-'], {
    input: [
      `netns add ${namespace}`,
      `link add name ${bridge} mtu ${mtu} type bridge forward_delay 0`,
      `addr add ${prefix}.1/24 dev ${bridge}`,
      `link set dev ${bridge} up`,
      `link add name ${outer} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${namespace}`,
      `link set dev ${outer} master ${bridge} up`,
      '',
    ].join('\n'),
  });
  await neighbour(['ip', '-batch', '-'], {
    input: `addr add ${prefix}.50/24 dev eth0\nlink set dev lo up\nlink set dev eth0 up\n`,
  });
  const rule = `ip saddr ${prefix}.0/24 oifname != "${bridge}" masquerade`;
  await exec(['nft', '-f', '-'], {
    input: `table ip ${table} {\n chain out {\n  type nat hook postrouting priority 100\n  ${rule}\n }\n}\n`,
  });
  await exec(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  return lan;
}
