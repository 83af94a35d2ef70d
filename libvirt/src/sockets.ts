// Which unix socket serves what: one monolithic libvirtd, or one modular daemon per driver.
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** The drivers that a modular installation puts into daemons of their own. */
export type Service = 'storage' | 'secret' | 'nwfilter' | 'network';

/** Where to connect and which driver to open there. */
export interface Endpoint {
  socketPath: string;
  uri: string;
}

const RUN_DIRECTORY = '/run/libvirt';
const MONOLITHIC = 'libvirt-sock';

/** `/run/libvirt/virtqemud-sock` -> `qemu`; undefined for a monolithic daemon's socket. */
function modularDriver(socketPath: string): string | undefined {
  return /^virt(\w+)d-sock(?:-ro)?$/.exec(basename(socketPath))?.[1];
}

/**
 * The endpoint of a connection URI such as `qemu:///system`, `test:///default` or `qemu:///system?socket=/path`. Without
 * an explicit socket it is the driver's own daemon if that exists, else the monolithic one.
 * @throws Error for a URI that names another host: only local unix sockets are spoken.
 */
export function endpointOf(uri: string, socketPath?: string, exists: (path: string) => boolean = existsSync): Endpoint {
  const parsed = new URL(uri);
  if (parsed.hostname !== '' || parsed.protocol.includes('+')) {
    throw new Error(`${uri}: only local daemons can be reached, as in qemu:///system`);
  }
  const driver = parsed.protocol.slice(0, -1);
  const modular = join(RUN_DIRECTORY, `virt${driver}d-sock`);
  const path =
    socketPath ?? parsed.searchParams.get('socket') ?? (exists(modular) ? modular : join(RUN_DIRECTORY, MONOLITHIC));
  return { socketPath: path, uri: `${driver}://${parsed.pathname}` };
}

/** Where calls about `service` go: the same endpoint if it is monolithic, else the service's daemon beside it. */
export function endpointFor(service: Service, main: Endpoint): Endpoint {
  const driver = modularDriver(main.socketPath);
  if (driver === undefined) return main;
  const suffix = main.socketPath.endsWith('-ro') ? '-ro' : '';
  const path = join(dirname(main.socketPath), `virt${service}d-sock${suffix}`);
  return { socketPath: path, uri: main.uri.replace(/^\w+:/, `${service}:`) };
}
