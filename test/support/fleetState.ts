// What must hold in the cloud of several controllers after load: clients, rows and hosts agree on the servers, and at last none is left.
import type { Database } from '@cumulet/controller';
import { servers } from '../../controller/src/db/entities/compute';
import { allocations, hosts, residues, tasks } from '../../controller/src/db/entities/tasks';
import type { ControllerFleet } from './controllerFleet';
import { until, type CloudClient } from './realCloud';
import type { RetryingClient } from './retryingClient';
import { removeServer } from './serverLoad';

/** What the audit finds. */
export const audit = (client: CloudClient): Promise<{ message: string }[]> =>
  client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit').then(({ findings }) => findings);

/** Each server is ACTIVE, has one claim and is on one host; those of `left` are among them. Then all are deleted, and nothing is left. */
export async function expectWhole(
  fleet: ControllerFleet,
  db: Database,
  client: RetryingClient,
  admins: readonly CloudClient[],
  left: readonly string[],
): Promise<void> {
  const expectSound = async (): Promise<void> => {
    for (const admin of admins) expect(await audit(admin)).toEqual([]);
  };
  // A create whose answer was lost may have been carried out twice: the second server is there as well, and whole.
  const { body } = await client.must('GET', '/compute/v2.1/servers');
  const all = (body.servers as { id: string }[]).map(({ id }) => id).sort();
  for (const id of all) for (const admin of admins) await until(admin, id, 'ACTIVE', 100);
  expect(all).toEqual(expect.arrayContaining([...left]));
  const claims = await db.read((session) => session.find(allocations));
  expect(claims.map(({ server_id }) => server_id).sort()).toEqual(all);
  expect(fleet.hosts.flatMap(({ domains }) => [...domains.keys()]).sort()).toEqual(all);
  await expectSound();

  for (const id of all) await removeServer(client, id);
  const rest = await db.read(async (session) => ({
    tasks: await session.count(tasks, { active: 1 }),
    claims: await session.count(allocations),
    residues: await session.count(residues),
    alive: (await session.find(servers)).filter(({ deleted_at }) => deleted_at === null).length,
    used: (await session.find(hosts)).map((host) => host.used_vcpus + host.used_memory_mib + host.used_disk_gib),
  }));
  expect(rest).toEqual({ tasks: 0, claims: 0, residues: 0, alive: 0, used: fleet.hosts.map(() => 0) });
  expect(fleet.hosts.map(({ domains, disks }) => domains.size + disks.size)).toEqual(fleet.hosts.map(() => 0));
  await expectSound();
}
