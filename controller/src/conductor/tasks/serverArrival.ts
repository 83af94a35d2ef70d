// A server that runs on its new host: the row, the network and the room follow it, and where it was nothing is left.
import type { PowerTarget } from '@cumulet/common';
import type { Server, ServerMigration } from '../../db/entities/compute';
import { closeMigration, markMigration } from '../../services/compute/migrations';
import { moveServerPorts } from '../../services/network/portMoves';
import type { PortChange } from '../../services/network/serverPorts';
import { done, next, wait, type Step, type StepContext } from '../task';
import { ASK_AGAIN, askDomain } from './serverCreate';
import { destOf, migrationOf, serverOf, setServer, targetOf } from './serverState';
import { givesUp, leaveResidue } from './serverTeardown';

/** Whether the row says by now that the server is on its new host. */
export const isHere = (server: Server, migration: ServerMigration): boolean => server.host === migration.dest_host;

/** What the guest was doing when it was asked to go. */
export const powerBefore = ({ vm_state }: ServerMigration): PowerTarget =>
  vm_state === 'paused' ? 'paused' : 'running';

/** From here on the server is the new host's. */
const land: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const host = destOf(migration);
  return next('settle', {
    message: 'traffic goes to the new host',
    write: async (session) => {
      const generation = server.generation + 1;
      await setServer(session, cloud, server.id, { host, disk_revision: migration.new_revision, generation });
      await markMigration(session, cloud, migration, 'post-migrating');
      return { ports: await moveServerPorts(session, cloud, server.id, host) };
    },
  });
};

/** What it is defined by on the new host is what it would be defined by if it had been made there. */
const settle: Step = async (context) => {
  const server = await serverOf(context.cloud, context.task);
  if (!(await askDomain(context, server, 'unchanged'))) return wait(ASK_AGAIN);
  return next('depart', { message: 'the new host has all that the server is' });
};

/** Removes what one host has of the server besides its domain. @returns whether that is done, or written down as the host's residue */
export async function clearHost(
  context: StepContext,
  server: Server,
  host: string,
  { keepDisk }: { readonly keepDisk: boolean },
): Promise<{ readonly done: boolean; readonly diskLeft: boolean }> {
  const { cloud, task, ask } = context;
  const target = targetOf(server, host);
  const { portIds, sequence } = task.state['ports'] as PortChange;
  const diskLeft = !keepDisk && (await givesUp(cloud, task, host, 'storage'));
  const disk = keepDisk || diskLeft || (await ask('disk.remove', target, { server_id: server.id }));
  const unwired =
    portIds.length === 0 ||
    (await givesUp(cloud, task, host, 'network')) ||
    (await ask('ports.remove', target, { port_ids: portIds, sequence }));
  return { done: Boolean(disk && unwired), diskLeft };
}

/** The domain of a host that has none any more, or a residue: `left` says that the host could not be asked. */
export async function dropDomain({ cloud, task, ask }: StepContext, server: Server, host: string) {
  const left = await givesUp(cloud, task, host, 'compute');
  return {
    left,
    done: left || (await ask('server.remove', targetOf(server, host), { server_id: server.id })) !== undefined,
  };
}

/** The guest that waits where the server was goes first, then what it stood on. */
const depart: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { source_host: source, shared_disk: keepDisk } = migration;
  const domain = await dropDomain(context, server, source);
  if (!domain.done) return wait(ASK_AGAIN);
  const rest = await clearHost(context, server, source, { keepDisk });
  if (!rest.done) return wait(ASK_AGAIN);
  const left = domain.left || rest.diskLeft;
  return next('end', {
    message: left
      ? 'the old host can not be reached; it removes what it has when it comes back'
      : 'the old host is clean',
    write: async (session) => {
      if (domain.left) await leaveResidue(session, cloud, server, source, 'compute');
      if (rest.diskLeft) await leaveResidue(session, cloud, server, source, 'storage');
    },
  });
};

const end: Step = async ({ cloud, task }) => {
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  return done({
    message: 'the server was migrated',
    write: async (session) => {
      await closeMigration(session, cloud, migration, 'completed');
      await setServer(session, cloud, server.id, { task_state: null });
    },
  });
};

export const arrivalSteps: Readonly<Record<string, Step>> = { land, settle, depart, end };
