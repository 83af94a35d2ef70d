// Ways to a running guest for people: its serial port through libvirt, its screen through QEMU's own socket.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { HostError, type ConsoleKind } from '@cumulet/common';
import { ErrorCode, hasCode } from '@cumulet/libvirt';
import { findDomain, type ServerContext } from './ensureServer';
import { doing } from './faults';
import { parseLiveDomain } from './liveDomain';

const notRunning = (): HostError => new HostError('not_running', 'the server is not running', { retryable: false });

async function openScreen({ hypervisor }: ServerContext, serverId: string): Promise<Duplex> {
  const { vncSocket } = parseLiveDomain(await hypervisor.domainXml(serverId));
  if (vncSocket === undefined) throw notRunning();
  const socket = connect(vncSocket);
  try {
    await once(socket, 'connect');
  } catch (error) {
    // It ended between the question and the answer.
    if (['ENOENT', 'ECONNREFUSED'].includes(String((error as NodeJS.ErrnoException).code))) throw notRunning();
    throw error;
  }
  return socket;
}

/** @throws HostError not_running */
export async function openConsole(context: ServerContext, serverId: string, kind: ConsoleKind): Promise<Duplex> {
  return doing('opening the console', async () => {
    if (!(await findDomain(context, serverId))) throw notRunning();
    try {
      if (kind === 'vnc') return await openScreen(context, serverId);
      return await context.hypervisor.openConsole(serverId, { force: true });
    } catch (error) {
      throw hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN) ? notRunning() : error;
    }
  });
}
