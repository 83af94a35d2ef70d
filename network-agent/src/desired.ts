// The desired state of this host's networking, kept up to date from the change feed.
import type {
  NetworkChanges,
  NetworkObject,
  NetworkObjectKind,
  NetworkState,
  PortState,
  RouterState,
  SecurityGroupState,
} from '@cumulet/common';

export interface Desired {
  readonly networks: ReadonlyMap<string, NetworkState>;
  readonly ports: ReadonlyMap<string, PortState>;
  readonly groups: ReadonlyMap<string, SecurityGroupState>;
  readonly routers: ReadonlyMap<string, RouterState>;
}

export const nothingDesired: Desired = {
  networks: new Map(),
  ports: new Map(),
  groups: new Map(),
  routers: new Map(),
};

interface Working {
  networks: Map<string, NetworkState>;
  ports: Map<string, PortState>;
  groups: Map<string, SecurityGroupState>;
  routers: Map<string, RouterState>;
}

function put(into: Working, object: NetworkObject): void {
  if (object.kind === 'network') into.networks.set(object.id, object);
  else if (object.kind === 'port') into.ports.set(object.id, object);
  else if (object.kind === 'security_group') into.groups.set(object.id, object);
  else into.routers.set(object.id, object);
}

function mapOf(state: Working, kind: NetworkObjectKind): Map<string, unknown> {
  if (kind === 'network') return state.networks;
  if (kind === 'port') return state.ports;
  return kind === 'router' ? state.routers : state.groups;
}

/** The state after an answer of the change feed. Applying the same answer twice changes nothing more. */
export function applyChanges(before: Desired, changes: NetworkChanges): Desired {
  const base = changes.reload ? nothingDesired : before;
  const after: Working = {
    networks: new Map(base.networks),
    ports: new Map(base.ports),
    groups: new Map(base.groups),
    routers: new Map(base.routers),
  };
  for (const { kind, id } of changes.gone) mapOf(after, kind).delete(id);
  for (const object of changes.objects) put(after, object);
  return after;
}
