// Gives addresses to ports and takes them back. The unique (subnet, address) row is the claim.
import { randomInt } from 'node:crypto';
import { In, isDuplicate, type ReadSession, type Where, type WriteSession } from '../../db';
import { portAddresses, subnets, type PortAddress, type Subnet } from '../../db/entities/network';
import { residues } from '../../db/entities/tasks';
import { freeAddresses, planAddresses, type AddressedPort, type AddressWish, type FixedIpRequest } from './addressPlan';
import { addressesExhausted, addressInUse } from './errors';

/** A free address is drawn from this many of the lowest, so that requests at the same time rarely want the same one. */
const CHOICES = 16;
const TRIES = 20;

type Held = Pick<PortAddress, 'subnet_id' | 'address'>;
const keyOf = (one: Held): string => `${one.subnet_id} ${one.address}`;

/** Addresses of servers that a host may still run although their ports are gone: rule 10 of the design. */
async function heldAddresses(session: ReadSession): Promise<Set<string>> {
  const rows = await session.find(residues);
  return new Set(rows.flatMap((row) => ((row.facts['addresses'] ?? []) as Held[]).map(keyOf)));
}

/** Keeps addresses from being given out until the residue of their server is cleared. */
export async function holdAddresses(
  session: WriteSession,
  serverId: string,
  portIds: readonly string[],
): Promise<void> {
  const residuesOfServer = await session.find(residues, { where: { resource_id: serverId } });
  // What a fenced host has left uses no address: it is off.
  const left = residuesOfServer.filter(({ facts }) => facts['fenced'] !== true);
  if (left.length === 0) return;
  const rows = await session.find(portAddresses, { where: { port_id: In([...portIds]) } });
  const addresses = rows.map(({ subnet_id, address }) => ({ subnet_id, address }));
  for (const row of left) await session.update(residues, { id: row.id }, { facts: { ...row.facts, addresses } });
}

type Claim = Omit<PortAddress, 'subnet_id' | 'address'>;

async function claimAny(session: WriteSession, claim: Claim, subnet: Subnet): Promise<PortAddress | undefined> {
  const held = await heldAddresses(session);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const rows = await session.pick(portAddresses, ['address'], { where: { subnet_id: subnet.id } });
    const used = new Set(rows.map((row) => row.address));
    for (const entry of held) if (entry.startsWith(`${subnet.id} `)) used.add(entry.slice(subnet.id.length + 1));
    const free = freeAddresses(subnet.ip_version === 4 ? 4 : 6, subnet.allocation_pools, used, CHOICES);
    const address = free[free.length > 1 ? randomInt(free.length) : 0];
    if (address === undefined) return undefined;
    try {
      const row = { ...claim, subnet_id: subnet.id, address };
      await session.insert(portAddresses, row);
      return row;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
  }
  return undefined;
}

async function claimOne(session: WriteSession, claim: Claim, wish: AddressWish): Promise<PortAddress> {
  const [first] = wish.candidates;
  if (wish.address !== undefined && first) {
    const row = { ...claim, subnet_id: first.id, address: wish.address };
    if ((await heldAddresses(session)).has(keyOf(row))) throw addressInUse(claim.network_id, wish.address);
    try {
      await session.insert(portAddresses, row);
      return row;
    } catch (error) {
      if (isDuplicate(error)) throw addressInUse(claim.network_id, wish.address);
      throw error;
    }
  }
  for (const subnet of wish.candidates) {
    const row = await claimAny(session, claim, subnet);
    if (row) return row;
  }
  throw addressesExhausted(claim.network_id);
}

/** Subnets, oldest first, held so that they stay while addresses are taken from them. */
export const heldSubnets = (session: WriteSession, where: Where<typeof subnets>): Promise<Subnet[]> =>
  session.find(subnets, { where, order: { created_at: 'ASC', id: 'ASC' }, lock: 'shared' });

/**
 * Claims the addresses of a new port. Named ones are claimed first, so that a free choice never takes one of them.
 * With `onlySubnetId` no other subnet of the network is looked at; `known` are its subnets when the transaction holds them.
 * @throws ApiError InvalidInput, IpAddressInUse, IpAddressGenerationFailure
 */
export async function claimAddresses(
  session: WriteSession,
  portId: string,
  port: AddressedPort,
  requests: readonly FixedIpRequest[] | undefined,
  startPosition = 0,
  { onlySubnetId, known }: { readonly onlySubnetId?: string; readonly known?: readonly Subnet[] } = {},
): Promise<PortAddress[]> {
  const only = onlySubnetId === undefined ? {} : { id: onlySubnetId };
  const own = known ?? (await heldSubnets(session, { network_id: port.networkId, ...only }));
  // Automatic addresses are wished for every time; a port that gets more keeps those it has.
  const have = startPosition === 0 ? [] : await session.find(portAddresses, { where: { port_id: portId } });
  const held = new Set(have.map(keyOf));
  const wishes = planAddresses(port, own, requests)
    .filter(
      ({ address, candidates: [first] }) => !held.has(keyOf({ subnet_id: first?.id ?? '', address: address ?? '' })),
    )
    .map((wish, position) => ({ wish, position }));
  const ordered = [...wishes].sort(
    (a, b) => Number(b.wish.address !== undefined) - Number(a.wish.address !== undefined),
  );
  const rows: PortAddress[] = [];
  for (const { wish, position } of ordered) {
    const claim = { port_id: portId, network_id: port.networkId, position: startPosition + position };
    rows.push(await claimOne(session, claim, wish));
  }
  return rows.sort((a, b) => a.position - b.position);
}

/** Addresses of ports in the order they were given, by port. */
export async function addressesByPort(
  session: ReadSession,
  portIds: readonly string[],
): Promise<Map<string, PortAddress[]>> {
  const byPort = new Map<string, PortAddress[]>(portIds.map((id) => [id, []]));
  if (portIds.length === 0) return byPort;
  const rows = await session.find(portAddresses, { where: { port_id: In([...portIds]) } });
  for (const row of rows.sort((a, b) => a.position - b.position)) byPort.get(row.port_id)?.push(row);
  return byPort;
}
