// Domain events: id to register, message that arrives, its structure, and the object that listeners get.
import { decode, i32, optional, string, struct } from './codec';
import type { Codec } from './codec';
import { Program, ProtocolError } from './packet';
import type { Packet } from './packet';
import { dom, parametersOf, typedParameters } from './types';
import type { DomainReference } from './types';

interface EventEntry<W, E> {
  /** virDomainEventID, for registering. */
  id: number;
  /** The procedure number of the message. */
  message: number;
  wire: Codec<W>;
  view: (wire: W) => E;
}

const event = <W extends object, E>(
  id: number,
  message: number,
  fields: Codec<W>,
  view: (wire: W) => E,
): EventEntry<W & { callbackID: number }, E> => ({ id, message, wire: withCallback(fields), view });

/** Every message begins with the number that registering returned. */
function withCallback<W extends object>(fields: Codec<W>): Codec<W & { callbackID: number }> {
  return {
    write(writer, value) {
      writer.i32(value.callbackID);
      fields.write(writer, value);
    },
    read: (reader) => ({ callbackID: reader.i32(), ...fields.read(reader) }),
  };
}

const name = (names: readonly string[], value: number): string => names[value] ?? `unknown-${value}`;

const lifecycleNames = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
] as const;
/** What each number of `detail` means, by event. */
const lifecycleDetails: Record<string, readonly string[]> = {
  defined: ['added', 'updated', 'renamed', 'from-snapshot'],
  undefined: ['removed', 'renamed'],
  started: ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'],
  suspended: [
    'paused',
    'migrated',
    'io-error',
    'watchdog',
    'restored',
    'from-snapshot',
    'api-error',
    'postcopy',
    'postcopy-failed',
  ],
  resumed: ['unpaused', 'migrated', 'from-snapshot', 'postcopy', 'postcopy-failed'],
  stopped: ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'],
  shutdown: ['finished', 'guest', 'host'],
  pmsuspended: ['memory', 'disk'],
  crashed: ['panicked', 'crash-loaded'],
};
const watchdogActions = ['none', 'pause', 'reset', 'poweroff', 'shutdown', 'debug', 'inject-nmi'];
const ioErrorActions = ['none', 'pause', 'report'];
const blockJobStatuses = ['completed', 'failed', 'canceled', 'ready'];
const blockJobTypes = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'];
const agentStates = ['unknown', 'connected', 'disconnected'];

const onDevice = struct({ dom, devAlias: string });
const deviceView = (wire: { dom: DomainReference; devAlias: string }): { domain: DomainReference; alias: string } => ({
  domain: wire.dom,
  alias: wire.devAlias,
});

const eventTable = {
  lifecycle: event(0, 318, struct({ msg: struct({ dom, event: i32, detail: i32 }) }), ({ msg }) => {
    const what = name(lifecycleNames, msg.event);
    return { domain: msg.dom, event: what, detail: name(lifecycleDetails[what] ?? [], msg.detail) };
  }),
  reboot: event(1, 319, struct({ msg: struct({ dom }) }), ({ msg }) => ({ domain: msg.dom })),
  watchdog: event(3, 321, struct({ msg: struct({ dom, action: i32 }) }), ({ msg }) => ({
    domain: msg.dom,
    action: name(watchdogActions, msg.action),
  })),
  ioError: event(
    6,
    324,
    struct({ msg: struct({ dom, srcPath: string, devAlias: string, action: i32, reason: string }) }),
    ({ msg }) => ({
      domain: msg.dom,
      path: msg.srcPath,
      alias: msg.devAlias,
      action: name(ioErrorActions, msg.action),
      reason: msg.reason,
    }),
  ),
  deviceRemoved: event(15, 333, struct({ msg: onDevice }), ({ msg }) => deviceView(msg)),
  deviceRemovalFailed: event(22, 367, onDevice, deviceView),
  deviceAdded: event(19, 354, onDevice, deviceView),
  blockJob: event(16, 339, struct({ dom, dst: string, type: i32, status: i32 }), (wire) => ({
    domain: wire.dom,
    disk: wire.dst,
    type: name(blockJobTypes, wire.type),
    status: name(blockJobStatuses, wire.status),
  })),
  jobCompleted: event(21, 363, struct({ dom, params: typedParameters }), (wire) => ({
    domain: wire.dom,
    statistics: parametersOf(wire.params),
  })),
  agentLifecycle: event(18, 348, struct({ dom, state: i32, reason: i32 }), (wire) => ({
    domain: wire.dom,
    state: name(agentStates, wire.state),
  })),
  migrationIteration: event(20, 359, struct({ dom, iteration: i32 }), (wire) => ({
    domain: wire.dom,
    iteration: wire.iteration,
  })),
  metadataChange: event(23, 379, struct({ dom, type: i32, nsuri: optional(string) }), (wire) => ({
    domain: wire.dom,
    type: wire.type,
    uri: wire.nsuri,
  })),
};

type Table = typeof eventTable;
/** The name of an event that listeners can ask for. */
export type EventName = keyof Table;
/** What listeners of each event get. */
export type EventMap = { [N in EventName]: ReturnType<Table[N]['view']> };
/** An event with its name. */
export type LibvirtEvent = { [N in EventName]: { name: N } & EventMap[N] }[EventName];

export const eventNames = Object.keys(eventTable) as EventName[];
/** The table as data, for registering and for tests. */
export const events: { readonly [N in EventName]: { readonly id: number; readonly message: number } } = eventTable;

const byMessage = new Map<number, EventName>(eventNames.map((key) => [eventTable[key].message, key]));

/** The event in a MESSAGE packet. @throws ProtocolError for a message nobody registered for, XdrError for bad bytes. */
export function eventFrom(packet: Packet): LibvirtEvent {
  const key = packet.program === Program.REMOTE ? byMessage.get(packet.procedure) : undefined;
  if (key === undefined) throw new ProtocolError(`message ${packet.procedure} is no event of this client`);
  const entry = eventTable[key] as EventEntry<object, object>;
  return { name: key, ...entry.view(decode(entry.wire, packet.payload)) } as LibvirtEvent;
}

/** The payload of an event message, for a daemon's side of a test. */
export function wireOf(key: EventName): Codec<object> {
  return eventTable[key].wire;
}
