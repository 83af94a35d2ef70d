// The network agent: follows the change feed, keeps the host's networking so, and answers the controller's commands.
import { mkdir } from 'node:fs/promises';
import {
  CumuletError,
  messageOf,
  type AgentApi,
  type Bus,
  type Clock,
  type Command,
  type Exec,
  type HostResource,
  type Logger,
  type Subscription,
} from '@cumulet/common';
import { macOfLinkLocal } from './addresses';
import { carryOut } from './commands';
import type { NetworkAgentConfig } from './config';
import { createDataplane, type Applied } from './dataplane';
import { upstreamsOf } from './dnsRelay';
import { createFeed } from './feed';
import { ensureBridgeFilter, loadBridgeFilter } from './hostKernel';
import { createListeners } from './listeners';
import { createAnswerCache, isLinkLocal, type MetadataContext } from './metadataProxy';
import { merged } from './serial';

export interface NetworkAgentParts {
  /** This host's name in the cloud. */
  readonly host: string;
  readonly bus: Pick<Bus, 'onCommand' | 'onChanges' | 'sendReply'>;
  readonly api: Pick<AgentApi, 'register' | 'heartbeat' | 'networkChanges' | 'reportPorts' | 'metadata'>;
  readonly exec: Exec;
  readonly log: Logger;
  readonly clock: Clock;
  readonly config: NetworkAgentConfig;
}

export interface NetworkAgent {
  /** Prepares the host, registers and follows the feed. Resolves when the host was brought to its state once. */
  start(): Promise<void>;
  /** Stops following. What is on the host stays as it is and goes on working, except metadata and outside names. */
  stop(): Promise<void>;
  /** Everything on the host that carries our mark, for the audit. */
  inventory(): Promise<HostResource[]>;
  /** Removes every trace of ours from the host. The agent must be stopped. */
  purge(): Promise<void>;
}

const FEED_TRIES = 20;
const RETRY_MS = 1000;
const HEARTBEAT_MS = 5000;

export function createNetworkAgent({ host, bus, api, exec, log, clock, config }: NetworkAgentParts): NetworkAgent {
  const feed = createFeed(api, host);
  const answers = createAnswerCache();
  const stopping = new AbortController();
  const subscriptions: Subscription[] = [];
  const loops: Promise<void>[] = [];
  const newest = new Map<string, number>();
  let session = 0;
  let applied: Applied = { wired: new Set(), faults: new Map() };
  let full = true;
  let reported = '';

  /** The controller knows a guest by its addresses; a link-local one is traced to them by the MAC in it. */
  const identify = (networkId: string, address: string): string | undefined => {
    if (!isLinkLocal(address)) return address;
    const mac = macOfLinkLocal(address);
    const owner = feed.desired?.networks.get(networkId)?.dhcp_hosts.find((entry) => entry.mac === mac);
    return owner?.addresses[0]?.address;
  };
  const metadata = (networkId: string): MetadataContext => ({
    host,
    networkId,
    api,
    log,
    answers,
    identify: (address) => identify(networkId, address),
  });
  const listeners = createListeners(metadata, upstreamsOf(config.dns_servers), log);
  const dataplane = createDataplane({ exec, config, log, clock, listeners });

  const report = async (): Promise<void> => {
    const ports = [...(feed.desired?.ports.keys() ?? [])].map((id) => {
      const fault = applied.faults.get(id);
      return { id, wired: applied.wired.has(id), ...(fault === undefined ? {} : { fault }) };
    });
    const text = JSON.stringify(ports);
    if (text === reported) return;
    await api.reportPorts(host, ports);
    reported = text;
  };

  const run = merged(async () => {
    const news = await feed.pull().catch((error: unknown) => {
      // What is known still holds: a controller that is away must not keep us from repairing the host.
      if (feed.desired === undefined || !full) throw error;
      log.warn({ error: messageOf(error) }, 'the change feed gives no answer');
      return false;
    });
    const { desired } = feed;
    if (desired === undefined || (!news && !full)) return;
    const whole = full;
    const started = performance.now();
    full = false;
    try {
      applied = await dataplane.apply(desired, whole);
    } catch (error) {
      // Nobody knows how far it came: look at everything next time.
      full = true;
      throw error;
    }
    const milliseconds = Math.round(performance.now() - started);
    log.debug(
      { sequence: feed.sequence, full: whole, milliseconds, faults: applied.faults.size },
      'networking applied',
    );
    report().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'the ports could not be reported'));
  });

  const sync = async (sequence: number): Promise<Applied> => {
    for (let tries = 0; tries < FEED_TRIES; tries++) {
      await run();
      if (feed.sequence >= sequence) return applied;
      await clock.sleep(50, stopping.signal);
    }
    throw new CumuletError('feed_behind', `the change feed is at ${feed.sequence}, the command asks for ${sequence}`);
  };

  const onCommand = (command: Command): void => {
    const known = newest.get(command.resource) ?? 0;
    if (command.session !== session || command.generation < known) {
      log.info({ task: command.task, step: command.step }, 'a command of another session or generation was dropped');
      return;
    }
    newest.set(command.resource, command.generation);
    carryOut(command, { host, sync, known: (id) => feed.desired?.ports.has(id) ?? false })
      .then((reply) => bus.sendReply(reply))
      .catch((error: unknown) => log.error({ task: command.task, error: messageOf(error) }, 'a reply was not sent'));
  };

  const attempt = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      log.error({ error: messageOf(error) }, `${what} failed`);
      return false;
    }
  };

  const every = (milliseconds: number, what: string, work: () => Promise<unknown>): void => {
    const loop = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(milliseconds, stopping.signal);
        if (stopping.signal.aborted) return;
        await attempt(what, work);
      }
    };
    loops.push(loop());
  };

  const register = async (): Promise<void> => {
    const inventory = { physical_networks: Object.keys(config.physical_networks) };
    const registered = await api.register({ host, role: 'network', inventory });
    session = registered.session;
    feed.restart();
    full = true;
  };

  const heartbeat = async (): Promise<void> => {
    try {
      await api.heartbeat(host, 'network', session);
    } catch (error) {
      if (!(error instanceof CumuletError) || error.code !== 'stale_session') throw error;
      await register();
      await run();
    }
  };

  const checkKernel = async (): Promise<void> => {
    const wrong = await ensureBridgeFilter(exec, config.external !== null);
    if (wrong.length > 0) log.warn({ settings: wrong }, 'kernel settings that filtering needs were off: put right');
  };

  const untilDone = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    while (!stopping.signal.aborted && !(await attempt(what, work))) await clock.sleep(RETRY_MS, stopping.signal);
  };

  return {
    start: async () => {
      await mkdir(config.stateDir, { recursive: true, mode: 0o755 });
      await loadBridgeFilter(exec, log);
      await ensureBridgeFilter(exec, config.external !== null);
      await untilDone('registering with the controller', register);
      await untilDone('bringing the host to its state', run);
      if (stopping.signal.aborted) return;
      subscriptions.push(await bus.onCommand(host, 'network', onCommand));
      subscriptions.push(await bus.onChanges(host, () => void attempt('applying changes', run)));
      every(config.poll_seconds * 1000, 'polling the change feed', run);
      every(config.poll_seconds * 1000, 'checking the kernel settings', checkKernel);
      every(HEARTBEAT_MS, 'the heartbeat', heartbeat);
      every(config.compare_seconds * 1000, 'comparing the whole state', () => {
        full = true;
        return run();
      });
    },
    stop: async () => {
      stopping.abort();
      await Promise.all(subscriptions.map((subscription) => subscription.close()));
      await Promise.all(loops);
      listeners.close();
    },
    inventory: () => dataplane.inventory(),
    purge: () => dataplane.purge(),
  };
}
