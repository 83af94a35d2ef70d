// The scene of the hosts' contract: a host, its controller, and servers that are asked for as the controller's tasks do.
import {
  newId,
  type ConsoleKind,
  type DiskEnsure,
  type HostApi,
  type NetworkObject,
  type NetworkState,
  type PortState,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import type { ContractController } from '../contractController';
import { sha512 } from '../fakeAgentApi';
import { securityGroup, serverPort, tenantNetwork } from '../networkLab';

export interface HostUnderContract {
  /** What the controller asks outside of commands. */
  readonly api: HostApi;
  /** Where other hosts find its compute agent; null when they need no address. */
  readonly address: string | null;
  /** The ways to a guest that can be gone here. */
  readonly consoles: readonly ConsoleKind[];
  /** Starts agents that know nothing of those before. */
  start(): Promise<void>;
  /** Ends the agents; what is on the host stays. */
  stop(): Promise<void>;
  /** A guest ends, and no command has asked for it. */
  powerOff(serverId: string): Promise<void>;
}

export interface Subject {
  readonly host: HostUnderContract;
  readonly controller: ContractController;
}

export interface ContractScene extends Subject {
  readonly network: NetworkState;
  readonly image: DiskEnsure['image'];
  /** A server with a disk and a port, as `server.ensure` is told of it. It is removed after the test. */
  prepare(changes?: Partial<ServerEnsure>): Promise<ServerEnsure>;
  /** The same, after it was told to be so. */
  boot(changes?: Partial<ServerEnsure>): Promise<ServerEnsure>;
  /** The port of a server. */
  portOf(server: ServerEnsure): PortState;
  /** What the feed has of a server. */
  objectsOf(server: ServerEnsure): readonly NetworkObject[];
  /** A port of the network that is not in the feed. */
  stranger(): PortState;
  ensure(server: ServerEnsure, generation?: number): Promise<Reply>;
  remove(serverId: string, generation?: number): Promise<Reply>;
  ensureDisk(serverId: string, changes?: Partial<DiskEnsure>, generation?: number): Promise<Reply>;
  removeDisk(serverId: string, generation?: number): Promise<Reply>;
  ensurePorts(serverId: string, ports: readonly PortState[], sequence?: number): Promise<Reply>;
  /** The kinds of what the host has with an id. */
  kindsOf(id: string): Promise<string[]>;
  /** All bytes of a revision of a disk, as another host gets them. */
  diskBytes(serverId: string, revision: number): Promise<Buffer>;
}

const GIB = 2 ** 30;

/** Matches the answer to a command that was carried out. */
export const done = (observed: object = {}): object => ({ outcome: 'done', fault: null, observed });
/** Matches the answer to one that was not; the controller tries again, or elsewhere, what is retryable. */
export const failed = (code: string, retryable: boolean): object => ({
  outcome: 'failed',
  fault: { code, message: expect.any(String), retryable },
});

/** Bytes of an image, for which the controller answers from now on. */
export function upload({ api }: ContractController, bytes: Buffer): DiskEnsure['image'] {
  api.images.set(sha512(bytes), bytes);
  return { id: newId(), digest: sha512(bytes), format: 'raw', size: bytes.length };
}

/** A scene for each test, which leaves nothing behind. `get` is called within each test. */
export function contractScene(get: () => Subject): ContractScene {
  const ports = new Map<string, PortState>();
  const group = securityGroup([]);
  let [network, image]: [NetworkState | undefined, DiskEnsure['image'] | undefined] = [undefined, undefined];
  const there = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new Error('the scene is set up before each test');
    return thing;
  };

  beforeEach(() => {
    network = tenantNetwork();
    image = upload(get().controller, Buffer.alloc(1 << 20, 0x5a));
  });
  afterEach(async () => {
    const { controller } = get();
    for (const [server, port] of ports) {
      await scene.remove(server);
      controller.change([], [port]);
      await scene.removeDisk(server);
    }
    ports.clear();
    controller.change([], [there(network), group]);
    await controller.hint();
  });

  const scene: ContractScene = {
    get host() {
      return get().host;
    },
    get controller() {
      return get().controller;
    },
    get network() {
      return there(network);
    },
    get image() {
      return there(image);
    },
    async prepare(changes = {}) {
      const id = newId();
      const port = serverPort(scene.network, `10.0.0.${ports.size + 10}`, [group.id]);
      ports.set(id, port);
      scene.controller.change([scene.network, group, port]);
      const [disk, wired] = [await scene.ensureDisk(id), await scene.ensurePorts(id, [port])];
      expect([disk.fault, wired.fault]).toEqual([null, null]);
      return {
        server_id: id,
        name: 'server',
        project_id: newId(),
        vcpus: 1,
        memory_mib: 64,
        disk: disk.observed as ServerEnsure['disk'],
        interfaces: [{ port_id: port.id, mac: port.mac, mtu: scene.network.mtu }],
        config_drive: null,
        power: 'running',
        reboot: null,
        redefine: false,
        ...changes,
      };
    },
    async boot(changes) {
      const server = await scene.prepare(changes);
      expect(await scene.ensure(server)).toMatchObject(done());
      return server;
    },
    portOf: (server) => there(ports.get(server.server_id)),
    objectsOf: (server) => [scene.network, group, scene.portOf(server)],
    stranger: () => serverPort(scene.network, '10.0.0.200', [group.id]),
    ensure: (server, generation = 1) => scene.controller.run('server.ensure', server.server_id, server, { generation }),
    remove: (id, generation = 99) => scene.controller.run('server.remove', id, { server_id: id }, { generation }),
    ensureDisk: (id, changes = {}, generation = 1) => {
      const body = { server_id: id, image: scene.image, size: GIB, revision: 1, ...changes };
      return scene.controller.run('disk.ensure', id, body, { generation });
    },
    removeDisk: (id, generation = 99) => scene.controller.run('disk.remove', id, { server_id: id }, { generation }),
    ensurePorts: (id, wanted, sequence = scene.controller.change([])) => {
      const body = { port_ids: wanted.map((port) => port.id), sequence, until: 'wired' as const };
      return scene.controller.run('ports.ensure', id, body);
    },
    async kindsOf(id) {
      const resources = await scene.host.api.inventoryOfResources();
      return resources.filter((one) => one.id === id).map(({ kind }) => kind);
    },
    async diskBytes(id, revision) {
      const { size, stream } = await scene.host.api.openDisk(id, revision);
      const bytes = Buffer.concat((await stream.toArray()) as Buffer[]);
      expect(bytes.length).toBe(size);
      return bytes;
    },
  };
  return scene;
}
