// What a host asks of the host that its server goes to, over mutual TLS: the steps of a migration, and ways to its hypervisor.
import type { Duplex } from 'node:stream';
import { Type, type Static } from '@sinclair/typebox';
import { CumuletError } from './errors';
import { isUuid } from './ids';
import { createMtlsClient, type MtlsClient } from './mtlsClient';
import type { MtlsRoute, MtlsTunnel } from './mtlsServer';
import type { Peer, TlsFiles } from './tls';

/** What travels beside the words of the two hypervisors: the guest's memory, and its disks. */
export type MigrationChannel = 'memory' | 'disks';

/** A domain that is offered: its XML, and what its hypervisor says to the other one. */
export interface DomainOffer {
  readonly xml: string;
  readonly cookie: Buffer;
}

/** A host that expects a server; `from` is the name in the certificate of the host that asks. */
export interface MigrationTarget {
  /** Whether the host can run the domain. @returns the domain's XML as it will be there @throws HostError */
  examine(from: string, migrationId: string, xml: string): Promise<string>;
  /** Gets ready to receive. @returns what the hypervisor says to the other one @throws HostError */
  prepare(from: string, migrationId: string, offer: DomainOffer): Promise<Buffer>;
  /** Starts the guest that came. @throws HostError when it did not and never will */
  finish(from: string, migrationId: string, cookie: Buffer): Promise<void>;
  /** A way to the hypervisor that receives. @throws HostError */
  open(from: string, migrationId: string, channel: MigrationChannel): Promise<Duplex>;
}

/** The same, as the host that sends sees it. */
export interface MigrationPeer {
  examine(migrationId: string, xml: string): Promise<string>;
  prepare(migrationId: string, offer: DomainOffer): Promise<Buffer>;
  /** @throws CumuletError unreachable when nobody knows whether the guest was started; anything else: it was not */
  finish(migrationId: string, cookie: Buffer): Promise<void>;
  open(migrationId: string, channel: MigrationChannel): Promise<Duplex>;
  close(): void;
}

/** Reaches another host's compute agent at "address:port"; it must be that host by its certificate. */
export type Neighbours = (host: string, address: string) => MigrationPeer;

const closed = { additionalProperties: false };
const Xml = Type.Object({ xml: Type.String() }, closed);
const Offer = Type.Object({ xml: Type.String(), cookie: Type.String() }, closed);
const Cookie = Type.Object({ cookie: Type.String() }, closed);

const PATH = '/host/v1/incoming';
const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64');
const textOf = (bytes: Buffer): string => bytes.toString('base64');

export const acceptsHosts = ({ role }: Peer): boolean => role === 'host';

function idOf(rest: string): string {
  if (isUuid(rest)) return rest;
  throw new CumuletError('bad_request', 'a migration is named by its id');
}

/** Every refusal is one word for the host that asks: its task tells the reason. */
async function orRefused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CumuletError) throw new CumuletError('migration_refused', error.message, {}, error);
    throw error;
  }
}

/** The routes and tunnels of a host that others send servers to. */
export function migrationRoutes(target: MigrationTarget): {
  readonly routes: Readonly<Record<string, MtlsRoute>>;
  readonly tunnels: Readonly<Record<string, MtlsTunnel>>;
} {
  const accepts = acceptsHosts;
  const tunnel = (channel: MigrationChannel): MtlsTunnel => ({
    accepts,
    open: ({ peer, rest }) => orRefused(target.open(peer.name, idOf(rest), channel)),
  });
  return {
    routes: {
      [`POST ${PATH}/examine/*`]: {
        accepts,
        schema: Xml,
        async handle({ peer, rest, body }) {
          const { xml } = body as Static<typeof Xml>;
          return { json: { xml: await orRefused(target.examine(peer.name, idOf(rest), xml)) } };
        },
      },
      [`POST ${PATH}/prepare/*`]: {
        accepts,
        schema: Offer,
        async handle({ peer, rest, body }) {
          const { xml, cookie } = body as Static<typeof Offer>;
          const offer = { xml, cookie: bytesOf(cookie) };
          return { json: { cookie: textOf(await orRefused(target.prepare(peer.name, idOf(rest), offer))) } };
        },
      },
      [`POST ${PATH}/finish/*`]: {
        accepts,
        schema: Cookie,
        async handle({ peer, rest, body }) {
          await orRefused(target.finish(peer.name, idOf(rest), bytesOf((body as Static<typeof Cookie>).cookie)));
          return {};
        },
      },
    },
    tunnels: { [`${PATH}/memory/*`]: tunnel('memory'), [`${PATH}/disks/*`]: tunnel('disks') },
  };
}

/** A hypervisor may take so long for one step, in milliseconds. */
const STEP_MS = 60_000;

function peerAt(client: MtlsClient, base: string): MigrationPeer {
  const ask = async (step: string, id: string, json: object): Promise<Record<string, unknown>> => {
    const call = { method: 'POST' as const, base, path: `${PATH}/${step}/${id}`, json, timeout: STEP_MS };
    const answer = await client.bytes(call);
    return answer.length === 0 ? {} : (JSON.parse(answer.toString()) as Record<string, unknown>);
  };
  return {
    examine: async (id, xml) => String((await ask('examine', id, { xml }))['xml']),
    prepare: async (id, { xml, cookie }) =>
      bytesOf(String((await ask('prepare', id, { xml, cookie: textOf(cookie) }))['cookie'])),
    async finish(id, cookie) {
      await ask('finish', id, { cookie: textOf(cookie) });
    },
    open: (id, channel) => client.tunnel({ base, path: `${PATH}/${channel}/${id}`, timeout: STEP_MS }),
    close: () => client.close(),
  };
}

/** How an agent with this certificate reaches others. */
export const createNeighbours =
  (tls: TlsFiles): Neighbours =>
  (host, address) => {
    const client = createMtlsClient(tls, ({ role, name }) => role === 'host' && name === host, `host ${host}`);
    return peerAt(client, `https://${address}`);
  };
