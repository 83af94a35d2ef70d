// The bridge-family table: one pair of chains per guarded port and the set of ports that must not reach the host itself.
import { tapName } from '../names';
import type { FrameRules } from './antispoof';

export interface BridgeTable {
  /** Frame rules by port id. */
  readonly ports: ReadonlyMap<string, FrameRules>;
  /** Interfaces on tenant bridges: their frames never go up into the host's own IP stack. */
  readonly isolated: ReadonlySet<string>;
}

export const emptyBridgeTable: BridgeTable = { ports: new Map(), isolated: new Set() };

const chainOf = (direction: 'in' | 'out', portId: string): string => `${direction}-${tapName(portId)}`;
const TABLE = 'bridge cumulet';

function chainLines(portId: string, rules: FrameRules): string[] {
  return (['in', 'out'] as const).flatMap((direction) => {
    const name = chainOf(direction, portId);
    return [
      `add chain ${TABLE} ${name} { comment "${portId}"; }`,
      `flush chain ${TABLE} ${name}`,
      ...rules[direction].map((rule) => `add rule ${TABLE} ${name} ${rule}`),
    ];
  });
}

const dispatch = (portId: string): string[] =>
  (['in', 'out'] as const).map(
    (direction) => `element ${TABLE} ${direction}ports { "${tapName(portId)}" : goto ${chainOf(direction, portId)} }`,
  );

const isolatedElement = (link: string): string => `element ${TABLE} isolated { "${link}" }`;

/** The whole table, replacing what is there in one transaction. */
export function renderBridgeTable(table: BridgeTable): string[] {
  return [
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    '  map inports { type ifname : verdict; }',
    '  map outports { type ifname : verdict; }',
    '  set isolated { type ifname; }',
    '  chain pre { type filter hook prerouting priority -300; policy accept; iifname vmap @inports; }',
    '  chain forward { type filter hook forward priority -300; policy accept; oifname vmap @outports; }',
    // A frame for the bridge's own MAC would be routed by the host, which has no business on a tenant's network.
    '  chain input { type filter hook input priority -300; policy accept; iifname @isolated drop; }',
    '}',
    ...renderBridgeChanges(emptyBridgeTable, table),
  ];
}

const same = (a: FrameRules | undefined, b: FrameRules): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Only what differs, for a table that is there. */
export function renderBridgeChanges(before: BridgeTable, after: BridgeTable): string[] {
  const changed = [...after.ports].filter(([id, rules]) => !same(before.ports.get(id), rules));
  const gone = [...before.ports.keys()].filter((id) => !after.ports.has(id));
  const added = [...after.isolated].filter((link) => !before.isolated.has(link));
  const released = [...before.isolated].filter((link) => !after.isolated.has(link));
  return [
    ...changed.flatMap(([id, rules]) => chainLines(id, rules)),
    ...changed.filter(([id]) => !before.ports.has(id)).flatMap(([id]) => dispatch(id).map((line) => `add ${line}`)),
    ...added.map((link) => `add ${isolatedElement(link)}`),
    ...gone.flatMap((id) => dispatch(id).map((line) => `delete ${line}`)),
    ...gone.flatMap((id) =>
      (['in', 'out'] as const).flatMap((direction) => [
        `flush chain ${TABLE} ${chainOf(direction, id)}`,
        `delete chain ${TABLE} ${chainOf(direction, id)}`,
      ]),
    ),
    ...released.map((link) => `delete ${isolatedElement(link)}`),
  ];
}
