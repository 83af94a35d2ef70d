// Answers guests: who asks is known by the network and address that the host saw, never by what the request says.
import { randomBytes } from 'node:crypto';
import type { MetadataAnswer, MetadataRequest } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { IsNull, type ReadSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { hosts } from '../../db/entities/tasks';
import { portByAddress, portsOfServer } from '../network/serverPortViews';
import type { GuestFacts } from './metadataDocuments';
import { configDriveFiles, metadataFile } from './metadataTree';
import { DEFAULT_ZONE } from './placement';

const words = (status: number, body: string): MetadataAnswer => ({ status, contentType: 'text/plain', body });

async function zoneOf(session: ReadSession, server: Server): Promise<string> {
  const host = server.host === null ? undefined : await session.findOne(hosts, { name: server.host });
  return host?.availability_zone ?? server.availability_zone ?? DEFAULT_ZONE;
}

/** What the documents of a server are made of. */
async function guestFacts(session: ReadSession, server: Server): Promise<GuestFacts> {
  return { server, ports: await portsOfServer(session, server.id), zone: await zoneOf(session, server) };
}

/** The files of a server's config drive by path, base64; null when it has none. */
export async function configDriveOf(session: ReadSession, server: Server): Promise<Record<string, string> | null> {
  return server.config_drive ? configDriveFiles(await guestFacts(session, server)) : null;
}

/** The server whose port on that host asks; undefined for any other caller. */
async function askingServer(session: ReadSession, request: MetadataRequest): Promise<Server | undefined> {
  const port = await portByAddress(session, request.networkId, request.address);
  if (!port?.device_owner.startsWith('compute:') || port.host !== request.host) return undefined;
  return session.findOne(servers, { id: port.device_id, deleted_at: IsNull() });
}

/** One request of a guest. Never throws for what a guest sends. */
export async function answerMetadata(cloud: Cloud, request: MetadataRequest): Promise<MetadataAnswer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return words(request.path.endsWith('/password') ? 501 : 405, 'Guests can only read here.\n');
  return cloud.db.read(async (session) => {
    const server = await askingServer(session, request);
    if (!server) return words(404, 'No server has this address.\n');
    const guest = { ...(await guestFacts(session, server)), randomSeed: randomBytes(512).toString('base64') };
    const file = metadataFile(guest, request.path);
    if (!file) return words(404, 'Not found.\n');
    const body = file.bytes.toString('utf8');
    const isText = Buffer.from(body).equals(file.bytes);
    return isText
      ? { status: 200, contentType: file.contentType, body }
      : { status: 200, contentType: file.contentType, body: file.bytes.toString('base64'), encoding: 'base64' };
  });
}
