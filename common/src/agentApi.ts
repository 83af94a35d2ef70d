// What agents ask of the controller, and what the controller asks of an agent directly. In one process these are plain calls.
import type { Duplex, Readable } from 'node:stream';
import type { AgentRole } from './messages/commands';
import type { NetworkChanges } from './messages/network';

export interface Registration {
  readonly host: string;
  readonly role: AgentRole;
  /** What the host has, by role; see each agent's inventory. */
  readonly inventory: Readonly<Record<string, unknown>>;
  /** Where controllers reach the agent, "address:port"; none in one process. */
  readonly listener?: string;
}

/** One resource that should be on the host, with the generation that holds. */
export interface Expected {
  readonly id: string;
  readonly generation: number;
}

export interface Registered {
  /** This agent's session number: commands of another session are dropped. */
  readonly session: number;
  /** Everything of this role that should be on the host; the agent removes the rest of what carries our mark. */
  readonly expected: readonly Expected[];
}

/** A server as its agent sees it now. */
export interface ObservedServer {
  readonly id: string;
  readonly power: 'running' | 'paused' | 'shutdown' | 'crashed' | 'suspended';
  /** Why it is off, in words for its owner. Absent: nobody knows, or it is on. */
  readonly why?: string;
}

/** One answer of the metadata service. */
export interface MetadataAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** How bytes that are no text (compressed user data) are written in `body`. Absent: it is the text itself. */
  readonly encoding?: 'base64';
}

export interface MetadataRequest {
  readonly host: string;
  readonly networkId: string;
  /** The caller's source address on that network; identity comes from here and never from a header. */
  readonly address: string;
  readonly method: string;
  /** Path without query: "/openstack/latest/meta_data.json". */
  readonly path: string;
  readonly body?: string;
}

/** A server's disk on its way to another host: the bytes of its file, and after them their SHA-512. */
export interface DiskBytes {
  /** Of all that the stream brings. */
  readonly size: number;
  readonly stream: Readable;
}

/** An agent that was not heard for this long is down; controllers give the routers of its host to others then. */
export const AGENT_TIMEOUT_MS = 10_000;

/** What a controller answers to a heartbeat. */
export interface Heard {
  /** To network agents: routers of the host that other hosts would get if it were not heard any more. Absent: none. */
  readonly movable_routers?: readonly string[];
}

export interface AgentApi {
  register(registration: Registration): Promise<Registered>;
  /**
   * Says that the agent lives.
   * @throws CumuletError stale_session when the agent must register again; unreachable, with the fact `refused` when every controller's
   * machine says that none runs there
   */
  heartbeat(host: string, role: AgentRole, session: number): Promise<Heard | undefined>;
  networkChanges(host: string, since: number): Promise<NetworkChanges>;
  /** The host's ports as the agent found them, so that their status can follow. */
  reportPorts(
    host: string,
    ports: readonly { readonly id: string; readonly wired: boolean; readonly fault?: string }[],
  ): Promise<void>;
  reportServers(host: string, servers: readonly ObservedServer[]): Promise<void>;
  /** The bytes of an image that a server of the host needs, by SHA-512, from `start` on. @throws CumuletError image_not_found */
  openImage(
    host: string,
    digest: string,
    start?: number,
  ): Promise<{ readonly size: number; readonly stream: Readable }>;
  /** The disk of a server that comes to the host, from the host it leaves. @throws CumuletError disk_not_found, unreachable */
  openDisk(host: string, serverId: string): Promise<DiskBytes>;
  /**
   * Gives an image the bytes of a snapshot that is being made on this host. An image that has them already takes none.
   * @throws CumuletError image_refused when it will never take them; anything else is worth another try
   */
  storeImage(host: string, imageId: string, bytes: { readonly size: number; readonly stream: Readable }): Promise<void>;
  metadata(request: MetadataRequest): Promise<MetadataAnswer>;
}

/** What a running guest has used so far, as the hypervisor counts it. -1 is what it does not count. */
export interface Diagnostics {
  /** Processor time of each vCPU, in nanoseconds. */
  readonly cpuTimes: readonly number[];
  readonly disks: readonly {
    /** As the guest sees it: "vda". */
    readonly device: string;
    readonly readRequests: number;
    readonly readBytes: number;
    readonly writeRequests: number;
    readonly writeBytes: number;
    readonly errors: number;
  }[];
  readonly interfaces: readonly {
    /** On the host: the port's tap. */
    readonly device: string;
    readonly received: Traffic;
    readonly sent: Traffic;
  }[];
  /** KiB. */
  readonly maximumMemory: number;
  /** Figures of the guest's memory by their libvirt names ("rss", "unused"), in KiB. */
  readonly memory: Readonly<Record<string, number>>;
  readonly hypervisor: 'kvm' | 'qemu';
}

export interface Traffic {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly drops: number;
}

/** A guest's serial port, or its screen and keyboard by the RFB protocol (RFC 6143). */
export const CONSOLE_KINDS = ['serial', 'vnc'] as const;
export type ConsoleKind = (typeof CONSOLE_KINDS)[number];

/** What a controller asks of a host's agents outside tasks. */
export interface HostApi {
  /** The tail of a server's serial console log, at most `maxBytes`. Empty when there is none yet. */
  consoleLog(serverId: string, maxBytes: number): Promise<Buffer>;
  /**
   * Bytes from and to a guest, until either side ends. A serial port has one reader: who comes last takes over.
   * @throws HostError when the guest does not run
   */
  openConsole(serverId: string, kind: ConsoleKind): Promise<Duplex>;
  /** @throws HostError when the guest does not run */
  diagnostics(serverId: string): Promise<Diagnostics>;
  /**
   * Has the guest's agent set a user's password, which is stored nowhere.
   * @throws HostError when the guest does not run, has no agent, or its agent refuses
   */
  setPassword(serverId: string, user: string, password: string): Promise<void>;
  /** A revision of a server's disk, which nobody writes to. @throws HostError when it is not there */
  openDisk(serverId: string, revision: number): Promise<DiskBytes>;
  /** The bytes of an image that a server's disk there stands on, by SHA-512, from `start` on. @throws HostError when it is not there */
  openImage(digest: string, start: number): Promise<{ readonly size: number; readonly stream: Readable }>;
  /** Everything on the host that carries our mark, for the audit. */
  inventoryOfResources(): Promise<readonly HostResource[]>;
}

export interface HostResource {
  /** What it is on the host: "domain", "disk", "tap", "bridge", "namespace", ... */
  readonly kind: string;
  /** The resource it says it belongs to. */
  readonly id: string;
  /** Its name on the host. */
  readonly name: string;
}
