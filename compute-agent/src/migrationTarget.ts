// The side of a migration that gets the guest: it takes one that it expects, from the host that it expects it from, once.
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { HostError, type MigrationExpect, type MigrationOf, type MigrationTarget } from '@cumulet/common';
import type { IncomingMigration } from '@cumulet/libvirt';
import { findDomain, prepareFiles, type ServerContext } from './ensureServer';
import { doing } from './faults';
import { consoleLogPath } from './layout';
import { makeSockets, removeSockets, socketPath, socketUris } from './migrationSockets';
import { migrationOptions } from './migrationOptions';
import { machineOf, movedXml, type MovedFiles } from './movedXml';
import { foreignPart } from './offeredXml';
import { ownSharedDisk } from './sharedDisk';

interface Coming {
  readonly body: MigrationExpect;
  readonly configDrive: string | null;
  state: 'expected' | 'ready' | 'here' | 'over';
  incoming?: IncomingMigration;
  /** Steps are taken one after the other: nobody must hear that it is not here while it is being started. */
  turn: Promise<unknown>;
}

/** Answer to `migration.conclude`. */
export interface MigrationEnd {
  readonly outcome: 'moved' | 'refused';
  /** It is not here, but what an agent before this one did with it is not known: it may have run, and written to its disk. */
  readonly may_have_run?: true;
}

export interface ServerTarget extends MigrationTarget {
  /** Carries out `migration.expect`. */
  expect(context: ServerContext, body: MigrationExpect): Promise<void>;
  /** Carries out `migration.conclude`: whether the guest is here. If it is not it never will be. @throws HostError */
  conclude(context: ServerContext, body: MigrationOf): Promise<MigrationEnd>;
  /** Forgets what is expected of a server; what has come of it half is gone. */
  forget(serverId: string): Promise<void>;
}

const refused = (code: string, message: string): HostError => new HostError(code, message, { retryable: false });
const PAUSED_BY_USER = 1;

/** Whether this host can run the guest as it is. @throws HostError in words that its owner may read */
async function requireFit({ hypervisor, virtType }: ServerContext, xml: string): Promise<void> {
  const { virtType: wanted, cpu } = machineOf(xml);
  if (wanted !== virtType)
    throw refused('other_hypervisor', 'the host runs guests in another way than the one that the server is on');
  // An emulated processor is the same everywhere.
  if (virtType !== 'kvm' || cpu === undefined) return;
  const compared = await doing('comparing processors', () => hypervisor.compareCpu(cpu, { virtType }));
  if (compared === 'incompatible')
    throw refused(
      'cpu_incompatible',
      'the processor of the host lacks something that the server was given when it started',
    );
}

const nameOf = ({ domainPrefix }: ServerContext, serverId: string): string => domainPrefix + serverId;

const filesOf = ({ dir }: ServerContext, { body, configDrive }: Coming): MovedFiles => {
  const { disk, server_id } = body.server;
  return { disk: disk.path, backing: disk.backing?.path, configDrive, consoleLog: consoleLogPath(dir, server_id) };
};

/** The host that sends may be in strange hands. @throws HostError when it offers something else than the server */
function requireOwn(context: ServerContext, coming: Coming, xml: string): void {
  const { disk, backing, configDrive, consoleLog } = filesOf(context, coming);
  const uuid = coming.body.server.server_id;
  const files = [disk, backing, configDrive, consoleLog].flatMap((file) => file ?? []);
  const foreign = foreignPart(xml, { name: nameOf(context, uuid), uuid, files });
  if (foreign !== undefined) throw refused('domain_refused', `what the other host offers is refused: ${foreign}`);
}

export function createMigrationTarget(reach: () => Promise<ServerContext>): ServerTarget {
  const known = new Map<string, Coming>();

  const find = (from: string, migrationId: string, state: Coming['state']): Coming => {
    const coming = known.get(migrationId);
    if (coming?.body.from === from && coming.state === state) return coming;
    throw refused('not_expected', 'the host does not expect this server now');
  };

  const inTurn = <T>(coming: Coming, work: () => Promise<T>): Promise<T> => {
    const result = coming.turn.then(work, work);
    coming.turn = result.catch(() => undefined);
    return result;
  };

  const end = async (coming: Coming): Promise<void> => {
    coming.state = 'over';
    const { incoming } = coming;
    delete coming.incoming;
    await incoming?.close();
  };

  return {
    async expect(context, body) {
      if (known.has(body.migration_id)) return;
      const configDrive = await doing('making the config drive', () => prepareFiles(context, body.server));
      await doing("taking the server's disk", () => ownSharedDisk(context.hypervisor, body.server));
      known.set(body.migration_id, { body, configDrive, state: 'expected', turn: Promise.resolve() });
    },

    async examine(from, migrationId, xml) {
      const coming = find(from, migrationId, 'expected');
      const context = await reach();
      await requireFit(context, xml);
      return movedXml(xml, filesOf(context, coming));
    },

    async prepare(from, migrationId, { xml, cookie }) {
      const coming = find(from, migrationId, 'expected');
      return inTurn(coming, async () => {
        find(from, migrationId, 'expected');
        const { body } = coming;
        const id = body.server.server_id;
        const context = await reach();
        const { hypervisor, dir } = context;
        requireOwn(context, coming, xml);
        await makeSockets(hypervisor, dir, id);
        const paused = body.server.power === 'paused';
        const options = migrationOptions({ sharedDisk: body.shared_disk, paused });
        const uris = socketUris(dir, id, !body.shared_disk);
        try {
          const incoming = await doing('receiving the server', () =>
            hypervisor.receiveDomain(nameOf(context, id), options, xml, cookie, uris),
          );
          Object.assign(coming, { incoming, state: 'ready' });
          return incoming.cookie;
        } catch (error) {
          await end(coming);
          throw error;
        }
      });
    },

    async finish(from, migrationId, cookie) {
      const coming = find(from, migrationId, 'ready');
      return inTurn(coming, async () => {
        const { incoming } = find(from, migrationId, 'ready');
        try {
          await doing('starting the server', async () => incoming?.finish(cookie));
          coming.state = 'here';
        } catch (error) {
          await end(coming);
          throw error;
        }
        delete coming.incoming;
        await incoming?.close();
        await removeSockets((await reach()).dir, coming.body.server.server_id);
      });
    },

    async open(from, migrationId, channel): Promise<Duplex> {
      const { server } = find(from, migrationId, 'ready').body;
      const socket = connect(socketPath((await reach()).dir, server.server_id, channel));
      await new Promise<void>((resolve, reject) => void socket.once('connect', resolve).once('error', reject));
      return socket;
    },

    async conclude(context, { server_id, migration_id }) {
      const coming = known.get(migration_id);
      if (coming)
        return inTurn(coming, async () => {
          if (coming.state === 'here') return { outcome: 'moved' };
          await end(coming);
          return { outcome: 'refused' };
        });
      // An agent before this one took it: what libvirt was told to receive went with that agent, unless it had started.
      const domain = (await findDomain(context, server_id))
        ? await context.hypervisor.domainState(server_id)
        : undefined;
      if (!domain || domain.state === 'shut-off') return { outcome: 'refused', may_have_run: true };
      if (domain.state !== 'paused' || domain.reason === PAUSED_BY_USER) return { outcome: 'moved' };
      throw new HostError('not_settled', 'the hypervisor has not yet given up what came of the server', {
        retryable: true,
      });
    },

    async forget(serverId) {
      for (const [id, coming] of known) {
        if (coming.body.server.server_id !== serverId) continue;
        await inTurn(coming, () => end(coming));
        known.delete(id);
      }
    },
  };
}
