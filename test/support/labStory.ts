// Servers of a lab and what somebody does with them: boots, looks where they are, talks to one of them, finds everything in order.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from './checkout';
import type { LabCommand } from './labCommand';
import { runProgram } from './programs';
import type { CloudClient } from './realCloud';

export interface LabStory {
  /** Boots a server on a host. */
  boot(name: string, host: string): Promise<void>;
  id(name: string): string;
  /** Its address on the network of all. */
  address(name: string): string;
  /** Status and host. */
  where(name: string): Promise<string>;
  /** Gives a server an address that is reached from here; `ssh` goes to it from then on. @returns the address */
  open(name: string): Promise<string>;
  /** @throws Error with what the command said when it fails */
  ssh(command: string): Promise<string>;
  /** What the audit finds, and a count that shares no code with it. */
  wrong(): Promise<string[]>;
}

/** Tries until it works: guests are emulated. */
export async function soon<T>(work: () => Promise<T>, seconds = 120): Promise<T> {
  for (const end = Date.now() + seconds * 1000; ; await pause(500)) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

const SSH = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'ConnectTimeout=5'];

export function labStory(lab: LabCommand, client: CloudClient): LabStory {
  const known = new Map<string, { readonly id: string; readonly address: string }>();
  const of = (name: string) => {
    const server = known.get(name);
    if (!server) throw new Error(`${name} was not booted`);
    return server;
  };
  let opened = '';
  return {
    async boot(name, host) {
      const zone = ['--availability-zone', `nova:${host}`];
      const made = ['--image', 'tiny', '--flavor', 'm1.nano', '--network', 'demo', '--key-name', 'lab'];
      const shown = await lab.cumulet('server', 'create', ...made, ...zone, '--wait', name, '-f', 'json');
      const { id, addresses } = JSON.parse(shown.slice(shown.indexOf('{'))) as {
        id: string;
        addresses: { demo: { addr: string }[] };
      };
      known.set(name, { id, address: addresses.demo[0]?.addr ?? '' });
    },
    id: (name) => of(name).id,
    address: (name) => of(name).address,
    async where(name) {
      const { server } = await client.call<{ server: Record<string, string> }>(
        'GET',
        `/compute/v2.1/servers/${of(name).id}`,
      );
      return `${server['status']} ${server['OS-EXT-SRV-ATTR:host']}`;
    },
    async open(name) {
      opened = /198\.[\d.]+/.exec(await lab.cumulet('floating', 'ip', 'create', 'public'))?.[0] ?? '';
      await lab.cumulet('server', 'add', 'floating', 'ip', name, opened);
      return opened;
    },
    async ssh(command) {
      const options = SSH.flatMap((option) => ['-o', option]);
      const argv = [...options, '-i', join(lab.directory, 'key'), `root@${opened}`, command];
      const { exit, out, err } = await runProgram('ssh', argv, root, {});
      if (exit !== 0) throw new Error(`${command}: ${err}`);
      return out;
    },
    async wrong() {
      const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
      const { out, err } = await lab.run('count');
      if (!/^\d+ found$/m.test(out)) throw new Error(`nothing was counted: ${err}`);
      const counted = out.split('\n').filter((line) => /: (orphan|could not look): /.test(line));
      return [...findings.map(({ message }) => message), ...counted];
    },
  };
}
