// Who watches the watchmen: one leak of each kind is made by hand, and both the audit and the independent count must name each.
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { interfaceName } from '@cumulet/common';
import { groupSet, portChain } from '../../network-agent/src/names';
import { idleContent, installCloud, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import { createServer, until, type CloudClient } from '../support/realCloud';

let machine: OwnMachine;
let cloud: MachineCloud;
let client: CloudClient;

beforeAll(async () => {
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  // The agent must not repair what is looked for.
  cloud = installCloud(machine, { network: { look_seconds: 3600, compare_seconds: 3600, poll_seconds: 3600 } });
  client = await cloud.start();
  const content = await idleContent(client, machine.directory);
  await until(client, await createServer(client, content, 'kept'), 'ACTIVE', 100);
});
afterAll(() => machine?.remove());

interface Leak {
  /** A shell command that makes it. */
  readonly make: string;
  /** What both must say of it; words for the audit and the independent count where they differ. */
  readonly audit: RegExp;
  readonly count: RegExp;
}

const FREE_ZONE = 40_000;

/** A statement on the cloud's database, as a step with a fault would leave it. */
const sql = (statement: string): string =>
  `python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1], 30); db.execute(sys.argv[2]); db.commit()' ${join(cloud.data, 'cumulet.db')} "${statement}"`;

function leakOf(kind: string): Leak {
  const id = randomUUID();
  const named = new RegExp(id);
  const both = (make: string, audit = named, count = audit): Leak => ({ make, audit, count });
  const tap = interfaceName('tap', id);
  const bridge = interfaceName('br', id);
  switch (kind) {
    case 'domain': {
      const xml = `<domain type="qemu"><name>cumulet-${id}</name><uuid>${id}</uuid><metadata><cumulet:server xmlns:cumulet="urn:cumulet:server:1" id="${id}"/></metadata><memory>65536</memory><os><type>hvm</type></os></domain>`;
      writeFileSync(join(machine.directory, 'leak.xml'), xml);
      return both(`virsh -c qemu:///system define ${machine.directory}/leak.xml`);
    }
    case 'disk':
      return both(`mkdir ${cloud.data}/host/disks/${id} && touch ${cloud.data}/host/disks/${id}/disk-1.qcow2`);
    case 'console log':
      return both(`mkdir ${cloud.data}/host/servers/${id} && touch ${cloud.data}/host/servers/${id}/console.log`);
    case 'tap':
      return both(`ip tuntap add ${tap} mode tap && ip link set dev ${tap} alias ${id}`);
    case 'bridge':
      return both(`ip link add ${bridge} type bridge && ip link set dev ${bridge} alias "${id} zone=50000"`);
    case 'namespace':
      return both(`ip netns add cml-router-${id}`);
    case 'dnsmasq process':
      // Its folder is gone, as when a removal went on though the process did not end.
      return both(
        `mkdir ${cloud.data}/network/${id} && cd ${cloud.data}/network/${id} && echo port=0 > conf &&
         dnsmasq --conf-file=$PWD/conf --pid-file=$PWD/pid --user=root && rm -r $PWD`,
      );
    case 'iptables chain and rule':
      return both(
        `iptables -N ${portChain('o', id)} && iptables -A cumulet-forward -m comment --comment ${id} -j ${portChain('o', id)}`,
      );
    case 'chain that nothing leads to': {
      const digits = new RegExp(id.replaceAll('-', '').slice(0, 16));
      return both(`ip6tables -N ${portChain('i', id)}`, digits);
    }
    case 'nft chain':
      return both(`nft 'add chain bridge cumulet in-${tap} { comment "${id}"; }'`);
    case 'nft set element':
      return both(`nft 'add element inet cumulet zones { "${bridge}" : 41000 }'`, new RegExp(bridge.slice(2)));
    case 'ipset':
      return {
        make: `ipset create ${groupSet(4, id)} hash:net`,
        audit: named,
        count: new RegExp(groupSet(4, id).slice(9)),
      };
    case 'conntrack entry':
      return both(
        `conntrack -I -w ${FREE_ZONE} -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 --timeout 600`,
        new RegExp(`zone ${FREE_ZONE}`),
      );
    case 'allocation row':
      return both(
        sql(
          `insert into allocation (server_id, host, vcpus, memory_mib, disk_gib, created_at) select '${id}', name, 1, 1, 1, 0 from host`,
        ),
      );
    case 'room of a host':
      return both(
        sql('update host set used_memory_mib = used_memory_mib + 7'),
        /MiB of memory claimed/,
        /room on host/,
      );
    case 'port row': {
      return {
        make: `${sql(`update port set device_id = '${id}' where device_owner like 'compute:%'`)}`,
        audit: named,
        count: /orphan: port /,
      };
    }
    default:
      throw new Error(kind);
  }
}

test('without a leak both find nothing', async () => {
  expect((await client.call<{ findings: unknown[] }>('GET', '/cumulet/v1/audit')).findings).toEqual([]);
  expect(await cloud.orphans()).toEqual(['0 orphans']);
});

// Rows come last: they stay in the database.
test.each([
  'domain',
  'disk',
  'console log',
  'tap',
  'bridge',
  'namespace',
  'dnsmasq process',
  'iptables chain and rule',
  'chain that nothing leads to',
  'nft chain',
  'nft set element',
  'ipset',
  'conntrack entry',
  'allocation row',
  'room of a host',
  'port row',
])('a leaked %s is named by the audit and by the independent count', async (kind) => {
  const leak = leakOf(kind);
  await machine.run('sh', '-c', leak.make);
  const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
  expect(findings.map(({ message }) => message).join('\n')).toMatch(leak.audit);
  expect((await cloud.orphans()).join('\n')).toMatch(leak.count);
});

test('all of them are fixed, and the independent count agrees', async () => {
  interface Report {
    readonly clean: boolean;
    readonly fixed: readonly { readonly kind: string }[];
    readonly findings: readonly { readonly message: string }[];
  }
  const report = await client.call<Report>('POST', '/cumulet/v1/audit/fix');
  expect(report.findings.map(({ message }) => message)).toEqual([]);
  expect(report.clean).toBe(true);
  expect(new Set(report.fixed.map(({ kind }) => kind)).size).toBeGreaterThan(10);
  expect(await cloud.orphans()).toEqual(['0 orphans']);
});
