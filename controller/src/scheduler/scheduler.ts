// Chooses a host for a server: filters say no with a reason in words, weighers order what is left. Pure.
import type { GroupPolicy } from '../db/entities/placement';
import type { Resources } from '../db/entities/tasks';
import { filters, type Filter, type Refusal } from './filters';
import { weighers, type Weigher } from './weighers';

/** The portions in which a resource is given out. */
export interface Portions {
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

/** A host as the scheduler sees it; memory in MiB, disk in GiB, capacities with their ratio applied. */
export interface HostView {
  readonly name: string;
  readonly enabled: boolean;
  readonly disabledReason: string | null;
  /** Heard from its compute, network and storage agents lately. */
  readonly alive: boolean;
  readonly zone: string;
  readonly capacity: Resources;
  readonly used: Resources;
  /** Where the administrator set any. */
  readonly portions: Readonly<Partial<Record<keyof Resources, Portions>>>;
  /** Metadata of the host's aggregates: a key has every value that one of them gives it. */
  readonly aggregateMetadata: ReadonlyMap<string, readonly string[]>;
  /** libvirt's name of the processor's architecture: x86_64. Undefined before the host told it. */
  readonly architecture: string | undefined;
  /** What runs guests: kvm or qemu. Undefined before the host told it. */
  readonly virtType: string | undefined;
  /** Names of what the host is and can do, found by its agent or set by the administrator: HW_CPU_X86_AVX2, CUSTOM_FAST. */
  readonly traits: Pick<ReadonlySet<string>, 'has'>;
  /** Servers that could not be built there since the last one that could. */
  readonly failedBuilds: number;
}

/** Where the members of a server group are. */
export interface GroupSpread {
  readonly policy: GroupPolicy;
  /** Members that one host may have under anti-affinity. */
  readonly maxPerHost: number;
  /** Other members by host. */
  readonly members: ReadonlyMap<string, number>;
}

export interface PlacementRequest {
  readonly need: Resources;
  /** Null: any zone. */
  readonly zone: string | null;
  /** Null: any host. */
  readonly host: string | null;
  readonly excludedHosts: readonly string[];
  /** The host that the server is moved away from. Null: none. */
  readonly leaving: string | null;
  /** One of these. Null: any. */
  readonly sameHosts: readonly string[] | null;
  /** None of these. */
  readonly differentHosts: readonly string[];
  /** Null: the server is in no group. */
  readonly group: GroupSpread | null;
  /** Of the flavor. */
  readonly extraSpecs: Readonly<Record<string, string>>;
  readonly imageProperties: Readonly<Record<string, string>>;
  /** Hosts that need not fetch the image. */
  readonly hostsWithImage: ReadonlySet<string>;
}

export interface Rejection {
  readonly host: string;
  readonly filter: string;
  /** What was missing, without names of hosts. */
  readonly reason: string;
}

export interface Decision {
  /** Best first. */
  readonly candidates: readonly string[];
  readonly rejections: readonly Rejection[];
}

function firstRejection(host: HostView, rules: readonly { name: string; refusal: Refusal }[]): Rejection | undefined {
  for (const { name, refusal } of rules) {
    const reason = refusal(host);
    if (reason !== undefined) return { host: host.name, filter: name, reason };
  }
  return undefined;
}

export function schedule(
  hosts: readonly HostView[],
  request: PlacementRequest,
  rules: readonly Filter[] = filters,
  orders: readonly Weigher[] = weighers,
): Decision {
  const rejections: Rejection[] = [];
  const fit: HostView[] = [];
  const asked = rules.flatMap(({ name, asks }) => {
    const refusal = asks(request);
    return refusal ? [{ name, refusal }] : [];
  });
  const weighing = orders.flatMap(({ factor, weighs }) => {
    const weigh = weighs(request);
    return weigh ? [{ factor, weigh }] : [];
  });
  for (const host of hosts) {
    const rejection = firstRejection(host, asked);
    if (rejection) rejections.push(rejection);
    else fit.push(host);
  }
  const weight = (host: HostView): number => {
    let sum = 0;
    for (const { factor, weigh } of weighing) sum += factor * weigh(host);
    return sum;
  };
  const weighed = fit.map((host) => ({ name: host.name, weight: weight(host) }));
  weighed.sort((one, other) => other.weight - one.weight || (one.name < other.name ? -1 : 1));
  return { candidates: weighed.map(({ name }) => name), rejections };
}

/** Whether a host was passed over only because it is silent; what room it has is unknown then. */
export const silentHost = (decision: Decision): boolean => decision.rejections.some(({ filter }) => filter === 'alive');

/** Why no host was found, for the owner of the server: reasons with how many hosts gave each, no names. */
export function explain(decision: Decision): string {
  if (decision.rejections.length === 0) return 'No valid host was found: the cloud has no hosts.';
  const counts = new Map<string, number>();
  for (const { reason } of decision.rejections) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts].map(([reason, count]) => `${count} host${count === 1 ? '' : 's'}: ${reason}`);
  return `No valid host was found. ${parts.join('; ')}.`;
}

/** The same for administrators: one line a host. */
export function explainByHost(decision: Decision): string {
  return decision.rejections.map(({ host, filter, reason }) => `${host}: ${filter}: ${reason}`).join('\n');
}
