// The network agent: follows the change feed, keeps the host's networking so, and answers the controller's commands.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createAgent,
  HostError,
  messageOf,
  type AgentApi,
  type Bus,
  type Clock,
  type Exec,
  type HostResource,
  type Logger,
  type Subscription,
} from '@cumulet/common';
import { macOfLinkLocal } from './addresses';
import { ensurePorts, ownerWords, removePorts, type PortContext } from './commands';
import type { NetworkAgentConfig } from './config';
import { createContact } from './contact';
import { CUT_OFF } from './cutOff';
import { createDataplane, nothingApplied, type Applied, type Depth } from './dataplane';
import { upstreamsOf } from './dnsRelay';
import { createFeed } from './feed';
import { createFirewallTables } from './firewall/tables';
import { parseRange } from './floatingRange';
import { createHostKernel, loadBridgeFilter, readKernelFile, type ReadKernel } from './hostKernel';
import { createListeners } from './listeners';
import { createAnswerCache, isLinkLocal, type MetadataContext } from './metadataProxy';
import { merged } from './serial';
import { readUnderlay, readUplinkMtu } from './underlay';
import { withdraw } from './withdraw';

export interface NetworkAgentParts {
  /** This host's name in the cloud. */
  readonly host: string;
  readonly bus: Bus;
  readonly api: AgentApi;
  readonly exec: Exec;
  /** Default: as this process sees it. */
  readonly readKernel?: ReadKernel;
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
  /** Settings of the kernel that a purge puts back, with what they were. */
  changedSettings(): Promise<Readonly<Record<string, string>>>;
  /** Removes every trace of ours from the host. The agent must be stopped. */
  purge(): Promise<void>;
}

/** How often a command asks a feed that is behind it; with the pauses below that is a second. */
const FEED_TRIES = 20;
const FEED_PAUSE_MS = 50;
/** How often it is asked whether controllers still hear this host, once it may be that they don't. */
const CONTACT_MS = 500;

/** Nothing runs before `start`. @throws CumuletError bad_range */
export function createNetworkAgent(parts: NetworkAgentParts): NetworkAgent {
  const { host, bus, api, exec, log, clock, config } = parts;
  // A range that is none would stop all of the networking later.
  if (config.external?.floating) parseRange(config.external.floating.range);
  const feed = createFeed(api, host);
  const readKernel = parts.readKernel ?? readKernelFile;
  const kernel = createHostKernel(exec, readKernel, join(config.stateDir, 'kernel.json'));
  const tables = createFirewallTables(exec, join(config.stateDir, 'tables.json'));
  const contact = createContact();
  const answers = createAnswerCache();
  const stopping = new AbortController();
  const loops: Promise<void>[] = [];
  let hints: Subscription | undefined;
  let applied = nothingApplied;
  /** How much the next run looks at. */
  let depth: Depth = 'all';
  /** How far the interfaces have come; the rest of a run may still be under way. */
  let made = { sequence: -1, state: applied };
  const waiting = new Set<() => void>();
  /** A command waits for the next run. */
  let commanded = false;
  /** What failed has been tried again. */
  let retried = false;
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
  const dataplane = createDataplane({ exec, config, log, clock, listeners, signal: stopping.signal });

  const report = async (): Promise<void> => {
    const ports = [...(feed.desired?.ports.keys() ?? [])].map((id) => {
      if (applied.cutOff.has(id)) return { id, wired: false, fault: CUT_OFF };
      const wired = applied.wired.has(id);
      return wired ? { id, wired } : { id, wired, fault: ownerWords(id, applied) };
    });
    const text = JSON.stringify(ports);
    if (text === reported) return;
    await api.reportPorts(host, ports);
    reported = text;
  };

  /** What came of the feed that was not applied yet. */
  let unread = false;
  const pull = async (): Promise<void> => {
    const askedAt = performance.now();
    if (await feed.pull()) unread = true;
    contact.sees(feed.desired?.routers.keys() ?? []);
    if (contact.restore(askedAt)) unread = true;
  };
  /** Nothing waits for an answer of the feed now: what a host that is cut off must do can't. */
  let hasty = false;
  let hurry = (): void => undefined;

  const run = merged(async () => {
    // What failed is tried again once soon, then by commands and comparisons; ports with refused rules wait for other rules.
    const broken = applied.faults.size > applied.closed.size;
    if (broken && (commanded || !retried)) depth = 'all';
    retried = broken;
    commanded = false;
    const hurried = new Promise<void>((resolve) => {
      hurry = resolve;
      if (hasty) resolve();
    });
    await Promise.race([pull(), hurried]).catch((error: unknown) => {
      // What is known still holds: a controller that is away must not keep us from repairing the host.
      if (feed.desired === undefined || (depth === 'links' && !unread)) throw error;
      log.warn({ error: messageOf(error) }, 'the change feed gives no answer');
    });
    const { desired } = feed;
    if (desired === undefined || (!unread && depth === 'links')) return;
    unread = false;
    const looked = depth;
    const started = performance.now();
    depth = 'links';
    try {
      const { sequence } = feed;
      applied = await dataplane.apply(withdraw(desired, contact.withdrawn), looked, (state) => {
        made = { sequence, state };
        for (const look of waiting) look();
      });
    } catch (error) {
      // Nobody knows how far it came: look at everything next time.
      depth = 'all';
      throw error;
    }
    const milliseconds = Math.round(performance.now() - started);
    log.debug({ sequence: feed.sequence, depth: looked, milliseconds }, 'networking applied');
    if (applied.faults.size > 0)
      log.error({ faults: Object.fromEntries(applied.faults) }, 'not all of it could be applied');
    report().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'the ports could not be reported'));
  });

  const compare = (): Promise<void> => {
    depth = 'all';
    return run();
  };

  const glance = (): Promise<void> => {
    if (depth === 'links') depth = 'surface';
    return run();
  };

  /** Resolves when the interfaces of this sequence exist: a domain can start on its taps while they are wired. */
  const madeUpTo = (sequence: number): Promise<Applied> =>
    new Promise((resolve) => {
      const look = (): void => {
        // Where something failed, only a whole run tells what of it is put right.
        if (made.sequence < sequence || made.state.faults.size > 0) return;
        waiting.delete(look);
        resolve(made.state);
      };
      waiting.add(look);
      look();
    });

  const ports: PortContext = {
    known: (id) => feed.desired?.ports.has(id) ?? false,
    sync: async (sequence, until) => {
      for (let tries = 0; tries < FEED_TRIES; tries++) {
        commanded = true;
        const whole = run().then(() => applied);
        const state = await (until === 'made' ? Promise.race([madeUpTo(sequence), whole]) : whole);
        if (feed.sequence >= sequence) return state;
        await clock.sleep(FEED_PAUSE_MS, stopping.signal);
      }
      const facts = { asked: sequence, at: feed.sequence };
      throw new HostError('feed_behind', 'the host was not told of the change in time', { retryable: true, facts });
    },
  };

  /** Another host may have its routers soon: what they answer for outside goes out of service first. */
  const watchContact = async (): Promise<void> => {
    if (!contact.isLost(feed.desired?.routers.keys() ?? [])) return;
    const facts = { routers: [...contact.withdrawn] };
    log.warn(facts, 'no controller hears this host: the outer addresses of its routers go out of service');
    unread = true;
    hasty = true;
    hurry();
    await run().finally(() => (hasty = false));
  };

  const agent = createAgent({
    host,
    contact: {
      taken: (sentAt, heard) => {
        const back = contact.withdrawn.size > 0;
        contact.taken(sentAt, heard);
        if (back) void attempt('taking routers back', run);
      },
      missed: (error) => contact.missed(error),
    },
    role: 'network',
    bus,
    api,
    clock,
    log,
    inventory: async () => {
      const physical_networks = Object.keys(config.physical_networks);
      if (config.underlay === null) {
        const uplink = config.external === null ? undefined : await readUplinkMtu(exec);
        return { physical_networks, ...(uplink === undefined ? {} : { underlay_mtu: uplink }) };
      }
      const { address, mtu } = await readUnderlay(exec, config.underlay);
      return { physical_networks, underlay_address: address, underlay_mtu: mtu };
    },
    reconcile: async () => {
      feed.restart();
      await compare();
      if (feed.desired) await dataplane.removeStrays(feed.desired);
    },
    handlers: {
      'ports.ensure': ({ body }) => ensurePorts(body, ports),
      'ports.remove': ({ body }) => removePorts(body, ports),
    },
  });

  /** What was begun and has not ended: also what nobody waits for must end before another may act on the host, as a purge does. */
  const underWay = new Set<Promise<unknown>>();
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const one = work().catch((error: unknown) => log.error({ error: messageOf(error) }, `${what} failed`));
    underWay.add(one);
    await one;
    underWay.delete(one);
  };

  const again = (pause: () => Promise<void>, what: string, work: () => Promise<unknown>): void => {
    const loop = async (): Promise<void> => {
      for (;;) {
        await pause();
        if (stopping.signal.aborted) return;
        await attempt(what, work);
      }
    };
    loops.push(loop());
  };
  const every = (seconds: number, what: string, work: () => Promise<unknown>): void =>
    again(() => clock.tick(seconds * 1000, stopping.signal), what, work);

  const checkKernel = async (): Promise<void> => {
    const wrong = await kernel.ensure(config.external !== null);
    if (wrong.length > 0) log.warn({ settings: wrong }, 'kernel settings that networking needs were off: put right');
  };

  return {
    start: async () => {
      await mkdir(config.stateDir, { recursive: true, mode: 0o755 });
      await loadBridgeFilter(exec, readKernel, log);
      await kernel.ensure(config.external !== null);
      await tables.note();
      await agent.start();
      if (stopping.signal.aborted) return;
      hints = await bus.onChanges(host, () => void attempt('applying changes', run));
      if (config.when_cut_off === 'withdraw')
        again(
          () => clock.sleep(Math.max(CONTACT_MS, contact.quietFor()), stopping.signal),
          'asking whether controllers hear this host',
          watchContact,
        );
      every(config.poll_seconds, 'polling the change feed', run);
      every(config.poll_seconds, 'checking the kernel settings', checkKernel);
      every(config.look_seconds, 'looking at links, rules and DHCP servers', glance);
      every(config.compare_seconds, 'comparing the whole state', compare);
    },
    stop: async () => {
      stopping.abort();
      await hints?.close();
      await agent.stop();
      await Promise.all([...loops, ...underWay]);
      listeners.close();
    },
    inventory: () => dataplane.inventory(),
    changedSettings: () => kernel.before(),
    purge: async () => {
      await dataplane.purge();
      await tables.removeEmpty();
      await kernel.restore();
    },
  };
}
