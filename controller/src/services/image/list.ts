// Lists images: what the caller may see, narrowed by filters, sorted, one page at a time.
import type { Cloud } from '../../cloud';
import { list, type Condition, type ReadSession, type Sort } from '../../db';
import { imageMembers, images } from '../../db/entities/image';
import { InvalidError } from '../../errors';
import type { Caller } from '../caller';
import { visibleImage, withDetails, type ImageRecord } from './record';

type ImageCondition = Condition<typeof images>;
export type ImageConditions = (ImageCondition | ImageCondition[])[];
export type ImageSort = Sort<typeof images>;
export type MemberStatus = 'pending' | 'accepted' | 'rejected' | 'all';

export interface ImageListQuery {
  readonly conditions: ImageConditions;
  /** The visibility asked for; undefined leaves out other projects' community images. */
  readonly visibility?: string;
  /** Which shared images of others are shown: those whose sharing the caller's project has answered so. */
  readonly memberStatus: MemberStatus;
  readonly sort: readonly ImageSort[];
  readonly limit: number;
  readonly marker?: string;
}

/** Conditions that hide what the caller may not see in lists. They all must hold. */
function listable(caller: Caller, query: Pick<ImageListQuery, 'visibility' | 'memberStatus'>): ImageConditions {
  const own: ImageCondition[] =
    caller.projectId === null ? [] : [{ column: 'owner', op: '=', value: caller.projectId }];
  const conditions: ImageConditions = [];
  if (query.visibility === undefined) conditions.push([...own, { column: 'visibility', op: '!=', value: 'community' }]);
  else if (query.visibility !== 'all') conditions.push({ column: 'visibility', op: '=', value: query.visibility });
  if (caller.isAdmin) return conditions;
  const open: ImageCondition = { column: 'visibility', op: 'in', value: ['public', 'community'] };
  const membership = {
    member_id: caller.projectId ?? '',
    ...(query.memberStatus === 'all' ? {} : { status: query.memberStatus }),
  };
  // Owned, or open, or both shared and with us as a member: written as two conditions of alternatives.
  conditions.push([...own, open, { column: 'visibility', op: '=', value: 'shared' }]);
  conditions.push([
    ...own,
    open,
    { column: 'id', op: 'in rows', value: { table: imageMembers, column: 'image_id', where: membership } },
  ]);
  return conditions;
}

async function markerRow(session: ReadSession, caller: Caller, id: string): Promise<ImageRecord> {
  const row = await visibleImage(session, caller, id);
  if (!row) throw new InvalidError(`The marker ${id} is not an image that can be seen.`);
  return row;
}

/** One page of images. @throws ForbiddenError, InvalidError (unknown marker) */
export async function listImages(cloud: Cloud, caller: Caller, query: ImageListQuery): Promise<ImageRecord[]> {
  cloud.policy.require(caller, 'image:get_images', { project_id: caller.projectId });
  return cloud.db.read(async (session) => {
    const marker = query.marker === undefined ? undefined : await markerRow(session, caller, query.marker);
    const rows = await list(session, images, {
      conditions: [...listable(caller, query), ...query.conditions],
      sort: query.sort,
      limit: query.limit,
      ...(marker ? { marker } : {}),
    });
    return withDetails(session, rows);
  });
}
