// Where a server would be placed now, and why not elsewhere; nothing is made.
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import { explain, schedule, type Decision } from '../../scheduler/scheduler';
import type { Caller } from '../caller';
import { hostViews } from '../hosts';
import { findServerImage } from './bootImage';
import { extraSpecsOf, findFlavor } from './flavors';
import { requirePlacement, type Placement } from './placement';
import { placementRequest } from './placementRequest';
import { findServerGroup } from './serverGroups';

export interface PlacementQuestion {
  readonly flavorId: string;
  /** Null: an image that asks for nothing. */
  readonly imageId: string | null;
  readonly placement: Placement;
  /** `group`, `same_host` and `different_host`, as at the creation of a server. */
  readonly hints: Readonly<Record<string, unknown>>;
}

export interface PlacementAnswer {
  readonly decision: Decision;
  /** Why no host was found, without names of hosts; null when there is one. */
  readonly message: string | null;
}

/** Asks the scheduler as for a new server of the caller's. @throws ApiError for a flavor, image, zone or group that is not there */
export async function explainPlacement(
  session: ReadSession,
  cloud: Cloud,
  caller: Caller,
  question: PlacementQuestion,
): Promise<PlacementAnswer> {
  const { flavorid: id, ...flavor } = await findFlavor(session, caller, question.flavorId);
  const extra_specs = (await extraSpecsOf(session, [id])).get(id) ?? {};
  const image = question.imageId === null ? null : await findServerImage(session, caller, question.imageId);
  await requirePlacement(session, question.placement);
  const { group } = question.hints;
  const server = {
    id: '',
    project_id: caller.projectId ?? '',
    flavor: { ...flavor, id, extra_specs },
    image,
    image_id: image?.id ?? null,
    availability_zone: question.placement.zone,
    requested_host: question.placement.host,
    scheduler_hints: { ...question.hints },
    server_group_id: typeof group === 'string' ? (await findServerGroup(session, caller, group)).id : null,
  };
  const hosts = await hostViews(session, cloud.clock.now());
  const decision = schedule(hosts, await placementRequest(session, server, []));
  return { decision, message: decision.candidates.length > 0 ? null : explain(decision) };
}
