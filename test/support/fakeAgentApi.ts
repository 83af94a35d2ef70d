// A controller's agent API for tests of agents: registers, remembers reports, and serves images from memory.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CumuletError,
  type AgentApi,
  type DiskBytes,
  type Expected,
  type ObservedServer,
  type Registration,
} from '@cumulet/common';

export interface FakeAgentApi extends AgentApi {
  readonly registrations: Registration[];
  readonly reports: ObservedServer[];
  /** What the next registration names. */
  expected: readonly Expected[];
  /** Image bytes by digest. */
  readonly images: Map<string, Buffer>;
  /** Disks that come to the host, by server, as the host that they leave sends them. */
  readonly disks: Map<string, () => Promise<DiskBytes>>;
  /** Bytes that were stored, by image id. */
  readonly stored: Map<string, Buffer>;
  /** How often each image was opened. */
  readonly opened: string[];
}

export const sha512 = (bytes: Buffer): string => createHash('sha512').update(bytes).digest('hex');

export function fakeAgentApi(): FakeAgentApi {
  let session = 0;
  const nothing = (): never => {
    throw new Error('no compute or storage agent asks for this');
  };
  const fake: FakeAgentApi = {
    registrations: [],
    reports: [],
    expected: [],
    images: new Map(),
    disks: new Map(),
    stored: new Map(),
    opened: [],
    register: (registration) => {
      fake.registrations.push(registration);
      return Promise.resolve({ session: ++session, expected: fake.expected });
    },
    heartbeat: () => Promise.resolve(undefined),
    reportServers: (_host, servers) => Promise.resolve(void fake.reports.push(...servers)),
    openImage: (_host, digest) => {
      fake.opened.push(digest);
      const bytes = fake.images.get(digest);
      if (!bytes) return Promise.reject(new CumuletError('image_not_found', 'no such image'));
      const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
        bytes.subarray(i * 65_536, (i + 1) * 65_536),
      );
      return Promise.resolve({ size: bytes.length, stream: Readable.from(chunks) });
    },
    storeImage: async (_host, imageId, { stream }) => {
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      fake.stored.set(imageId, Buffer.concat(chunks));
    },
    openDisk: (_host, serverId) => fake.disks.get(serverId)?.() ?? nothing(),
    networkChanges: nothing,
    reportPorts: nothing,
    metadata: nothing,
  };
  return fake;
}
