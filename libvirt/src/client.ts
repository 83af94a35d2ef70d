// The client as its users see it: a session with the operations on domains, devices, host, storage and secrets.
import { deviceOperations } from './devices';
import { domainOperations } from './domains';
import { guestAgentOperations } from './guestAgent';
import { hostOperations } from './host';
import { jobOperations } from './jobs';
import { migrationOperations } from './migration';
import { secretOperations } from './secrets';
import { Session } from './session';
import type { SessionOptions } from './session';
import { statisticsOperations } from './statistics';
import { storageOperations } from './storage';

const operationsOf = (session: Session) => ({
  ...hostOperations(session),
  ...domainOperations(session),
  ...deviceOperations(session),
  ...guestAgentOperations(session),
  ...statisticsOperations(session),
  ...jobOperations(session),
  ...migrationOperations(session),
  ...storageOperations(session),
  ...secretOperations(session),
});

/** A connection to libvirt that reconnects by itself; see {@link Session} for events and errors. */
export type LibvirtClient = Session & ReturnType<typeof operationsOf>;

export const LibvirtClient = {
  /**
   * Connects to a daemon on this host and registers for its events.
   * @throws ConnectionLostError when there is no daemon, HandshakeError when it can't be used, LibvirtError when it refuses
   */
  async connect(options: SessionOptions = {}): Promise<LibvirtClient> {
    const session = await Session.connect(options);
    return Object.assign(session, operationsOf(session));
  },
};
