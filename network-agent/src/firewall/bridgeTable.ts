// The bridge-family table: one pair of chains per guarded port and per tunnel, and the set of ports that must not reach the host itself.
import { tapName, vxlanName } from '../names';
import type { FrameRules } from './antispoof';

export interface BridgeTable {
  /** Frame rules by port id. */
  readonly ports: ReadonlyMap<string, FrameRules>;
  /** Frame rules of the links to other hosts, by network id. */
  readonly tunnels: ReadonlyMap<string, FrameRules>;
  /** Interfaces on tenant bridges: their frames never go up into the host's own IP stack. */
  readonly isolated: ReadonlySet<string>;
}

export const emptyBridgeTable: BridgeTable = { ports: new Map(), tunnels: new Map(), isolated: new Set() };

const TABLE = 'bridge cumulet';
const DIRECTIONS = ['in', 'out'] as const;

/** A link whose frames are looked at. */
interface Guarded {
  /** The port or network it belongs to. */
  readonly id: string;
  readonly rules: FrameRules;
}

const guardedLinks = ({ ports, tunnels }: BridgeTable): Map<string, Guarded> =>
  new Map([
    ...[...ports].map(([id, rules]) => [tapName(id), { id, rules }] as const),
    ...[...tunnels].map(([id, rules]) => [vxlanName(id), { id, rules }] as const),
  ]);

function chainLines(link: string, { id, rules }: Guarded): string[] {
  return DIRECTIONS.flatMap((direction) => {
    const name = `${direction}-${link}`;
    return [
      `add chain ${TABLE} ${name} { comment "${id}"; }`,
      `flush chain ${TABLE} ${name}`,
      ...rules[direction].map((rule) => `add rule ${TABLE} ${name} ${rule}`),
    ];
  });
}

const dispatch = (link: string): string[] =>
  DIRECTIONS.map((direction) => `element ${TABLE} ${direction}ports { "${link}" : goto ${direction}-${link} }`);

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

/** Only what differs, for a table that is there. */
export function renderBridgeChanges(before: BridgeTable, after: BridgeTable): string[] {
  const [known, wanted] = [guardedLinks(before), guardedLinks(after)];
  const changed = [...wanted].filter(([link, entry]) => JSON.stringify(known.get(link)) !== JSON.stringify(entry));
  const gone = [...known.keys()].filter((link) => !wanted.has(link));
  const added = [...after.isolated].filter((link) => !before.isolated.has(link));
  const released = [...before.isolated].filter((link) => !after.isolated.has(link));
  return [
    ...changed.flatMap(([link, entry]) => chainLines(link, entry)),
    ...changed.filter(([link]) => !known.has(link)).flatMap(([link]) => dispatch(link).map((line) => `add ${line}`)),
    ...added.map((link) => `add ${isolatedElement(link)}`),
    ...gone.flatMap((link) => dispatch(link).map((line) => `delete ${line}`)),
    ...gone.flatMap((link) =>
      DIRECTIONS.flatMap((direction) => [
        `flush chain ${TABLE} ${direction}-${link}`,
        `delete chain ${TABLE} ${direction}-${link}`,
      ]),
    ),
    ...released.map((link) => `delete ${isolatedElement(link)}`),
  ];
}
