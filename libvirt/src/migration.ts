// Migration that its caller manages: each side's daemon is asked by somebody on its own host, and no daemon connects to the other.
import type { Connection } from './connection';
import { procedures } from './procedures';
import type { Session } from './session';
import { textParameter } from './types';
import type { TypedParameter } from './types';

/** What both sides must be told alike. */
export interface ManagedMigration {
  /** {@link MigrateFlag} values, without PEER2PEER. */
  readonly flags: number;
  /** Targets of the disks to copy, with NON_SHARED_DISK or NON_SHARED_INC. */
  readonly disks?: readonly string[];
  /** MiB per second. */
  readonly bandwidth?: number;
}

/** Where the bytes go: unix sockets, each side's own. */
export interface MigrationSockets {
  /** Of the memory: `unix:///path`. */
  readonly migrateUri: string;
  /** Of the disks that are copied. */
  readonly disksUri?: string;
}

/** One side's word for the other, which nobody between them reads. */
export type Cookie = Buffer;

/** The side that has the domain. Its daemon knows the migration as long as this is open. */
export interface OutgoingMigration {
  /** The domain's XML for the other side, and the first cookie. */
  readonly xml: string;
  readonly cookie: Cookie;
  /** Sends the guest; it is stopped when this returns. When it fails the guest runs on. */
  perform(cookie: Cookie, sockets: MigrationSockets): Promise<Cookie>;
  /** After `perform`, when the other side did not start the guest and never will: it runs on here. */
  takeBack(cookie: Cookie): Promise<void>;
  close(): Promise<void>;
}

/** The side that gets the domain. Until `finish`, closing it removes what came. */
export interface IncomingMigration {
  readonly cookie: Cookie;
  /** Starts the guest that came. @returns the cookie for the other side */
  finish(cookie: Cookie): Promise<Cookie>;
  close(): Promise<void>;
}

type Texts = Readonly<Record<string, string | undefined>>;

/** The typed parameters of a step (VIR_MIGRATE_PARAM_*). */
function parametersOf({ disks = [], bandwidth }: ManagedMigration, texts: Texts): TypedParameter[] {
  return [
    ...Object.entries(texts).flatMap(([field, value]) => textParameter(field, value)),
    ...(bandwidth === undefined
      ? []
      : [{ field: 'bandwidth', value: { type: 'ullong' as const, value: BigInt(bandwidth) } }]),
    ...disks.flatMap((disk) => textParameter('migrate_disks', disk)),
  ];
}

const urisOf = ({ migrateUri, disksUri }: MigrationSockets): Texts => ({
  migrate_uri: migrateUri,
  disks_uri: disksUri,
});

/** A daemon answers when a step has ended, however long that takes. */
const NO_LIMIT = { timeoutMs: Infinity };

/** Runs the first call of a side on a connection of its own, which is closed when that fails. */
async function opened<T>(session: Session, begin: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await session.openForMigration();
  try {
    return await begin(connection);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

export function migrationOperations(session: Session) {
  return {
    /** Begins to move a domain away. `destinationXml` is the domain as it shall be there. */
    sendDomain: (uuid: string, options: ManagedMigration, destinationXml: string): Promise<OutgoingMigration> =>
      opened(session, async (connection) => {
        // The source tells the destination the domain's name, so the reference must be the daemon's own.
        const { dom } = await connection.call(procedures.domainLookupByUuid, { uuid });
        const { flags } = options;
        const params = (texts: Texts = {}) => parametersOf(options, { destination_xml: destinationXml, ...texts });
        const begin = { dom, params: params(), flags };
        const { xml, cookieOut } = await connection.call(procedures.domainMigrateBegin3Params, begin, NO_LIMIT);
        return {
          xml,
          cookie: cookieOut,
          async perform(cookieIn, sockets) {
            const args = { dom, dconnuri: undefined, params: params(urisOf(sockets)), cookieIn, flags };
            return (await connection.call(procedures.domainMigratePerform3Params, args, NO_LIMIT)).cookieOut;
          },
          async takeBack(cookieIn) {
            const args = { dom, params: params(), cookieIn, flags, cancelled: 1 };
            await connection.call(procedures.domainMigrateConfirm3Params, args, NO_LIMIT);
          },
          close: () => connection.close(),
        };
      }),

    /** Gets ready for a domain that comes: the hypervisor listens when this resolves. `xml` is what `sendDomain` answered. */
    receiveDomain: (
      name: string,
      options: ManagedMigration,
      xml: string,
      cookieIn: Cookie,
      sockets: MigrationSockets,
    ): Promise<IncomingMigration> =>
      opened(session, async (connection) => {
        const { flags } = options;
        const texts = { destination_name: name };
        const params = parametersOf(options, { ...texts, destination_xml: xml, ...urisOf(sockets) });
        const args = { params, cookieIn, flags };
        const { cookieOut } = await connection.call(procedures.domainMigratePrepare3Params, args, NO_LIMIT);
        return {
          cookie: cookieOut,
          async finish(cookie) {
            const end = { params: parametersOf(options, texts), cookieIn: cookie, flags, cancelled: 0 };
            return (await connection.call(procedures.domainMigrateFinish3Params, end, NO_LIMIT)).cookieOut;
          },
          close: () => connection.close(),
        };
      }),
  };
}
