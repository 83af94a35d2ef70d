// The agent API on the network: mutual TLS, and the host is whom the certificate names, so that nobody asks about another.
import type { Server } from 'node:https';
import {
  CumuletError,
  createMtlsServer,
  type AgentApi,
  type Logger,
  type MtlsRoute,
  type TlsFiles,
} from '@cumulet/common';
import { Type, type Static } from '@sinclair/typebox';

const closed = { additionalProperties: false };
const Role = Type.Union([Type.Literal('compute'), Type.Literal('network'), Type.Literal('storage')]);
const Register = Type.Object(
  {
    role: Role,
    inventory: Type.Record(Type.String(), Type.Unknown()),
    listener: Type.Optional(Type.String({ maxLength: 128 })),
  },
  closed,
);
const Heartbeat = Type.Object({ role: Role, session: Type.Integer() }, closed);
const Ports = Type.Array(
  Type.Object(
    { id: Type.String({ maxLength: 64 }), wired: Type.Boolean(), fault: Type.Optional(Type.String()) },
    closed,
  ),
);
const Power = Type.Union(
  (['running', 'paused', 'shutdown', 'crashed', 'suspended'] as const).map((power) => Type.Literal(power)),
);
const Servers = Type.Array(
  Type.Object(
    { id: Type.String({ maxLength: 64 }), power: Power, why: Type.Optional(Type.String({ maxLength: 200 })) },
    closed,
  ),
);
const Metadata = Type.Object(
  {
    networkId: Type.String({ maxLength: 64 }),
    address: Type.String({ maxLength: 64 }),
    method: Type.String({ maxLength: 16 }),
    path: Type.String(),
    body: Type.Optional(Type.String()),
  },
  closed,
);

/** A route with a JSON body of the schema's type. */
function post<S extends object>(
  schema: S,
  handle: (host: string, body: S extends { static: infer B } ? B : never) => Promise<unknown>,
): MtlsRoute {
  return {
    schema,
    handle: async ({ peer, body }) => {
      const json = await handle(peer.name, body as Parameters<typeof handle>[1]);
      return json === undefined ? {} : { json };
    },
  };
}

/** The first byte that a "Range: bytes=N-" asks for. */
function startOf(range: string | undefined): number {
  if (range === undefined) return 0;
  const start = /^bytes=(\d+)-$/.exec(range)?.[1];
  if (start === undefined) throw new CumuletError('bad_request', 'a range must be "bytes=N-"');
  return Number(start);
}

function routesOf(api: AgentApi): Record<string, MtlsRoute> {
  return {
    'POST /agent/v1/register': post(Register, (host, body: Static<typeof Register>) => api.register({ host, ...body })),
    'POST /agent/v1/heartbeat': post(Heartbeat, (host, { role, session }: Static<typeof Heartbeat>) =>
      api.heartbeat(host, role, session),
    ),
    'POST /agent/v1/ports': post(Ports, (host, ports: Static<typeof Ports>) => api.reportPorts(host, ports)),
    'POST /agent/v1/servers': post(Servers, (host, observed: Static<typeof Servers>) =>
      api.reportServers(host, observed),
    ),
    'POST /agent/v1/metadata': post(Metadata, (host, body: Static<typeof Metadata>) => api.metadata({ host, ...body })),
    'GET /agent/v1/network-changes': {
      async handle({ peer, query }) {
        const since = Number(query.get('since') ?? 0);
        if (!Number.isSafeInteger(since)) throw new CumuletError('bad_request', 'since is not a number');
        return { json: await api.networkChanges(peer.name, since) };
      },
    },
    'GET /agent/v1/disks/*': {
      async handle({ peer, rest: serverId }) {
        const { size, stream } = await api.openDisk(peer.name, serverId);
        return { headers: { 'content-length': String(size) }, stream };
      },
    },
    'POST /agent/v1/images/*': {
      raw: true,
      async handle({ peer, rest: imageId, headers, bytes }) {
        try {
          await api.storeImage(peer.name, imageId, { size: Number(headers['content-length']), stream: bytes });
        } finally {
          // A host that still sends hears why it was refused only at the end.
          for await (const rest of bytes) void rest;
        }
        return {};
      },
    },
    'GET /agent/v1/images/*': {
      async handle({ peer, rest: digest, headers }) {
        const start = startOf(headers.range);
        const { size, stream } = await api.openImage(peer.name, digest, start);
        const part = start > 0 ? { status: 206, range: { 'content-range': `bytes ${start}-${size - 1}/${size}` } } : {};
        return {
          ...(part.status === undefined ? {} : { status: part.status }),
          headers: { 'content-length': String(size - start), ...part.range },
          stream,
        };
      },
    },
  };
}

export interface AgentListenerOptions {
  readonly api: AgentApi;
  readonly tls: TlsFiles;
  readonly log: Logger;
  /** Serial numbers, in hexadecimal, of certificates that are accepted no more. */
  readonly revoked: readonly string[];
}

/** Not yet listening. */
export function createAgentListener({ api, tls, log, revoked }: AgentListenerOptions): Server {
  const refused = new Set(revoked.map((serial) => serial.toLowerCase().replaceAll(':', '')));
  return createMtlsServer({
    tls,
    log,
    routes: routesOf(api),
    accepts: ({ role }, serial) => role === 'host' && !refused.has(serial),
  });
}
