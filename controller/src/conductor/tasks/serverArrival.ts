// A server that runs on its new host: the row, the network and the room follow it, and where it was nothing is left.
import type { PowerTarget } from '@cumulet/common';
import type { Server, ServerMigration } from '../../db/entities/compute';
import { closeMigration, markMigration } from '../../services/compute/migrations';
import { moveServerPorts } from '../../services/network/portMoves';
import { done, next, wait, type Step } from '../task';
import { ASK_AGAIN, askDomain } from './serverCreate';
import { destOf, migrationOf, serverOf, setServer, sharedDiskOf, targetOf } from './serverState';
import { emptyHost } from './serverTeardown';

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
  const { cloud, task, ask } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const { source_host: source, new_revision: revision, shared_disk } = migration;
  // From then on nothing that the old host was asked before can hurt the disk.
  const taken =
    !shared_disk ||
    (await ask('disk.find', targetOf(server), await sharedDiskOf(cloud, server, source, { revision, take: true })));
  const settled = await askDomain(context, server, 'unchanged');
  if (!taken || !settled) return wait(ASK_AGAIN);
  return next('depart', { message: 'the new host has all that the server is' });
};

/** The guest that waits where the server was goes first, then what it stood on. */
const depart: Step = async (context) => {
  const { cloud, task } = context;
  const [server, migration] = [await serverOf(cloud, task), await migrationOf(cloud, task)];
  const emptied = await emptyHost(context, server, migration.source_host, { keepDisk: migration.shared_disk });
  if (!emptied) return wait(ASK_AGAIN);
  return next('end', {
    message: emptied.left
      ? 'the old host can not be reached; it removes what it has when it comes back'
      : 'the old host is clean',
    write: emptied.write,
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
