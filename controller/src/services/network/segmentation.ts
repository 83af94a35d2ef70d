// How a network is carried: VXLAN with a number of its own, or flat on a physical network that hosts map to a bridge.
import { randomInt } from 'node:crypto';
import { isDuplicate, type WriteSession } from '../../db';
import { segments } from '../../db/entities/network';
import { agents } from '../../db/entities/tasks';
import { conflict, invalidInput } from './errors';

export interface ProviderRequest {
  readonly networkType?: string;
  readonly physicalNetwork?: string;
  readonly segmentationId?: number;
}

export interface Segment {
  readonly network_type: string;
  readonly physical_network: string | null;
  readonly segmentation_id: number | null;
}

const MAX_VNI = 16_777_215;
const VNI_TRIES = 50;

/** @throws ConflictError when another network has it */
async function claim(
  session: WriteSession,
  networkId: string,
  type: string,
  physical: string,
  id: number,
): Promise<boolean> {
  try {
    await session.insert(segments, {
      network_type: type,
      physical_network: physical,
      segmentation_id: id,
      network_id: networkId,
    });
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

async function claimVxlan(session: WriteSession, networkId: string, wanted: number | undefined): Promise<Segment> {
  if (wanted !== undefined) {
    if (wanted < 1 || wanted > MAX_VNI)
      throw invalidInput(`segmentation_id ${wanted} is not between 1 and ${MAX_VNI}.`);
    if (!(await claim(session, networkId, 'vxlan', '', wanted)))
      throw conflict('TunnelIdInUse', `Unable to create the network. The tunnel ID ${wanted} is in use.`);
    return { network_type: 'vxlan', physical_network: null, segmentation_id: wanted };
  }
  for (let attempt = 0; attempt < VNI_TRIES; attempt++) {
    const id = randomInt(1, MAX_VNI + 1);
    if (await claim(session, networkId, 'vxlan', '', id))
      return { network_type: 'vxlan', physical_network: null, segmentation_id: id };
  }
  throw conflict('NoNetworkAvailable', 'Unable to create the network. No tenant network is available for allocation.');
}

/** Names that hosts map to a bridge; undefined as long as no network agent has said what it has. */
async function knownPhysicalNetworks(session: WriteSession): Promise<Set<string> | undefined> {
  const rows = await session.find(agents, { where: { role: 'network' } });
  const lists = rows.map((row) => row.inventory['physical_networks']).filter(Array.isArray);
  return lists.length === 0 ? undefined : new Set(lists.flat().map(String));
}

/** Takes what carries a new network. @throws ApiError InvalidInput, FlatNetworkInUse, TunnelIdInUse */
export async function claimSegment(
  session: WriteSession,
  networkId: string,
  request: ProviderRequest,
): Promise<Segment> {
  const type = request.networkType ?? 'vxlan';
  if (type === 'vxlan') {
    if (request.physicalNetwork !== undefined)
      throw invalidInput('provider:physical_network specified for vxlan network');
    return claimVxlan(session, networkId, request.segmentationId);
  }
  if (type !== 'flat') throw invalidInput(`network_type value '${type}' not supported`);
  if (request.segmentationId !== undefined) throw invalidInput('segmentation_id prohibited for flat provider network');
  const physical = request.physicalNetwork;
  if (physical === undefined || physical === '')
    throw invalidInput('physical_network required for flat provider network');
  const known = await knownPhysicalNetworks(session);
  if (known && !known.has(physical))
    throw invalidInput(`physical_network '${physical}' unknown for flat provider network: no host maps it to a bridge`);
  if (!(await claim(session, networkId, 'flat', physical, 0)))
    throw conflict('FlatNetworkInUse', `Unable to create the flat network. Physical network ${physical} is in use.`);
  return { network_type: 'flat', physical_network: physical, segmentation_id: null };
}

/** Bytes that VXLAN adds to a packet. */
const VXLAN_OVERHEAD = 50;
const DEFAULT_UNDERLAY_MTU = 1500;

/** The largest MTU that a network of this type can have on every host now. */
export async function largestMtu(session: WriteSession, networkType: string): Promise<number> {
  const rows = await session.find(agents, { where: { role: 'network' } });
  const told = rows.map((row) => row.inventory['underlay_mtu']).filter((mtu) => typeof mtu === 'number');
  const underlay = told.length > 0 ? Math.min(...told) : DEFAULT_UNDERLAY_MTU;
  return networkType === 'vxlan' ? underlay - VXLAN_OVERHEAD : underlay;
}
