// A lasting relation with a daemon: events on the main connection, further connections where needed, reconnection.
import { EventEmitter } from 'node:events';
import type { Connection } from './connection';
import { openConnection } from './connection';
import { ConnectionLostError } from './errors';
import { eventFrom, eventNames, events } from './events';
import type { EventMap, EventName, LibvirtEvent } from './events';
import { handshake, requireEventCallbacks } from './handshake';
import type { KeepaliveOptions } from './keepalive';
import type { Packet } from './packet';
import { procedures } from './procedures';
import type { Procedure } from './procedures';
import { endpointFor, endpointOf } from './sockets';
import type { Endpoint, Service } from './sockets';

export interface SessionOptions {
  /** Connection URI, for example `qemu:///system` (the default) or `test:///default`. */
  uri?: string;
  /** The daemon's unix socket; without it the modular daemon's, else the monolithic one's, in /run/libvirt. */
  socketPath?: string;
  /** Only look, never change. */
  readOnly?: boolean;
  /** Milliseconds for a call that brings no timeout of its own; 60 s unless told. */
  callTimeoutMs?: number;
  /** When a silent daemon is pinged and given up: 5 s and 5 pings unless told. */
  keepalive?: KeepaliveOptions;
  /** Events to register for; all unless told. */
  events?: readonly EventName[];
  /** Pauses between attempts to connect again: doubling from `firstMs` (100) to `maxMs` (5,000). */
  reconnect?: { firstMs: number; maxMs: number };
}

export interface CallSettings {
  /** Milliseconds until CallTimeoutError; Infinity for none. */
  timeoutMs?: number;
  /** The driver that serves the call, when it is not the main one: a modular installation has a daemon for each. */
  service?: Service;
}

/** What listeners of each event get. */
export type SessionEvents = { [N in EventName]: [event: EventMap[N]] } & {
  /** Every domain event, with its name. */
  event: [event: LibvirtEvent];
  /** The connection is lost; calls fail at once until `connected`. */
  disconnected: [error: ConnectionLostError];
  /** Connected again. Events of the meantime are lost: list the domains anew. */
  connected: [];
  /** An attempt to connect again failed, or a message could not be read. Without listeners it becomes a process warning. */
  warning: [error: Error];
};

type State =
  | { kind: 'connected'; connection: Connection }
  | { kind: 'disconnected'; error: ConnectionLostError; retry?: NodeJS.Timeout }
  | { kind: 'closed' };

export class Session extends EventEmitter<SessionEvents> {
  private readonly endpoint: Endpoint;
  private readonly services = new Map<string, Promise<Connection>>();
  private readonly open = new Set<Connection>();
  private state: State;

  private constructor(private readonly options: SessionOptions) {
    super();
    this.endpoint = endpointOf(options.uri ?? 'qemu:///system', options.socketPath);
    this.state = { kind: 'disconnected', error: this.lost('not connected yet') };
  }

  /** Connects and registers events. @throws ConnectionLostError, HandshakeError, LibvirtError */
  static async connect(options: SessionOptions = {}): Promise<Session> {
    const session = new Session(options);
    await session.connectMain();
    return session;
  }

  get connected(): boolean {
    return this.state.kind === 'connected';
  }

  /** Calls any procedure of the table. @throws LibvirtError, CallTimeoutError, ConnectionLostError, ProtocolError, XdrError */
  async call<A, R>(procedure: Procedure<A, R>, args: A, { service, timeoutMs }: CallSettings = {}): Promise<R> {
    const connection = service ? await this.serviceConnection(service) : this.main();
    return connection.call(procedure, args, timeoutMs === undefined ? {} : { timeoutMs });
  }

  /**
   * Calls a procedure that may take minutes on a connection of its own, so that it takes no place among the few calls that
   * a daemon serves per connection. No timeout unless told: keepalive notices a dead daemon. Errors as for {@link call}.
   */
  async callAlone<A, R>(procedure: Procedure<A, R>, args: A, { timeoutMs = Infinity }: CallSettings = {}): Promise<R> {
    const connection = await this.openExtra(this.endpoint, true);
    try {
      return await connection.call(procedure, args, { timeoutMs });
    } finally {
      await connection.close();
    }
  }

  /** A connection for one stream: its reading may pause, so the daemon is not asked to watch it. The caller closes it. */
  openForStream(service?: Service): Promise<Connection> {
    return this.openExtra(service ? endpointFor(service, this.endpoint) : this.endpoint, false);
  }

  /** A connection for one migration: its daemon undoes what was begun when it closes. The caller closes it. */
  openForMigration(): Promise<Connection> {
    return this.openExtra(this.endpoint, true);
  }

  /** Ends all connections and streams; the session can't be used again. */
  async close(): Promise<void> {
    if (this.state.kind === 'disconnected') clearTimeout(this.state.retry);
    this.state = { kind: 'closed' };
    await Promise.all([...this.open].map((connection) => connection.close()));
  }

  private main(): Connection {
    if (this.state.kind === 'connected') return this.state.connection;
    if (this.state.kind === 'closed') throw this.lost('the client was closed');
    const { error } = this.state;
    throw new ConnectionLostError(this.endpoint.socketPath, `not connected: ${error.reason}`, false, { cause: error });
  }

  private lost(reason: string): ConnectionLostError {
    return new ConnectionLostError(this.endpoint.socketPath, reason, false);
  }

  private async connectMain(): Promise<void> {
    const connection = await this.dial(this.endpoint, true);
    try {
      await requireEventCallbacks(connection);
      for (const name of this.options.events ?? eventNames) {
        const args = { eventID: events[name].id, dom: undefined };
        await connection.call(procedures.connectDomainEventCallbackRegisterAny, args);
      }
    } catch (error) {
      connection.destroy(`handshake failed: ${(error as Error).message}`);
      throw error;
    }
    if (this.state.kind === 'closed') return connection.close();
    this.state = { kind: 'connected', connection };
    void connection.closed.then((error) => this.mainClosed(error));
  }

  private mainClosed(error: ConnectionLostError): void {
    if (this.state.kind === 'closed') return;
    const { firstMs } = this.reconnect();
    this.state = { kind: 'disconnected', error, retry: this.retryIn(firstMs) };
    this.emit('disconnected', error);
  }

  private retryIn(ms: number): NodeJS.Timeout {
    // Half of the pause is random, so that many clients of a restarted daemon don't come at once.
    return setTimeout(() => void this.retry(ms), ms * (0.5 + Math.random() / 2));
  }

  private async retry(pauseMs: number): Promise<void> {
    try {
      await this.connectMain();
      if (this.connected) this.emit('connected');
    } catch (error) {
      if (this.state.kind !== 'disconnected') return;
      this.warn(error as Error);
      this.state.retry = this.retryIn(Math.min(pauseMs * 2, this.reconnect().maxMs));
    }
  }

  private reconnect(): { firstMs: number; maxMs: number } {
    return this.options.reconnect ?? { firstMs: 100, maxMs: 5_000 };
  }

  /** The connection for a service's calls: the main one if the daemon is monolithic, else one opened when first needed. */
  private serviceConnection(service: Service): Promise<Connection> | Connection {
    const endpoint = endpointFor(service, this.endpoint);
    if (endpoint === this.endpoint) return this.main();
    const known = this.services.get(service);
    if (known) return known;
    const opening = this.openExtra(endpoint, true);
    this.services.set(service, opening);
    const forget = (): boolean => this.services.delete(service);
    opening.then((connection) => connection.closed.then(forget), forget);
    return opening;
  }

  private openExtra(endpoint: Endpoint, daemonPings: boolean): Promise<Connection> {
    if (this.state.kind === 'closed') return Promise.reject(this.lost('the client was closed'));
    return this.dial(endpoint, daemonPings);
  }

  private async dial({ socketPath, uri }: Endpoint, daemonPings: boolean): Promise<Connection> {
    const { callTimeoutMs = 60_000, keepalive, readOnly = false } = this.options;
    const connection = await openConnection({
      socketPath,
      callTimeoutMs,
      ...(keepalive && { keepalive }),
      onMessage: (packet) => this.receive(packet),
    });
    if (this.state.kind === 'closed') {
      connection.destroy('the client was closed');
      throw this.lost('the client was closed');
    }
    this.open.add(connection);
    void connection.closed.then(() => this.open.delete(connection));
    try {
      await handshake(connection, { uri, readOnly, daemonPings });
    } catch (error) {
      connection.destroy(`handshake failed: ${(error as Error).message}`);
      throw error;
    }
    return connection;
  }

  /** Runs in the read loop, so listeners run later: a slow or throwing one must not hold up or end the connection. */
  private receive(packet: Packet): void {
    setImmediate(() => {
      if (this.state.kind === 'closed') return;
      let event: LibvirtEvent;
      try {
        event = eventFrom(packet);
      } catch (error) {
        this.warn(error as Error);
        return;
      }
      this.emit('event', event);
      // The union of all events' emit signatures is beyond the type checker; name and event belong together by construction.
      (this as EventEmitter).emit(event.name, event);
    });
  }

  private warn(error: Error): void {
    if (!this.emit('warning', error)) process.emitWarning(error.message, error.name);
  }
}
