// Tags of resources: short texts that clients hang on them and filter by.
import { groupBy, In, type ReadSession, type WriteSession } from '../../db';
import { networkTags } from '../../db/entities/network';
import type { NetworkNoun } from './errors';

/** Tags of resources, sorted, in one query. */
export async function tagsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map();
  const rows = await session.find(networkTags, { where: { resource_id: In([...ids]) }, order: { tag: 'ASC' } });
  return new Map([...groupBy(rows, (row) => row.resource_id)].map(([id, tags]) => [id, tags.map((row) => row.tag)]));
}

/** Ids of the resources of a kind that have all (or any) of the tags. */
export async function idsWithTags(
  session: ReadSession,
  noun: NetworkNoun,
  tags: readonly string[],
  all: boolean,
): Promise<string[]> {
  const wanted = [...new Set(tags)];
  const rows = await session.find(networkTags, { where: { resource_type: noun, tag: In(wanted) } });
  const groups = groupBy(rows, (row) => row.resource_id);
  return [...groups].filter(([, found]) => !all || found.length === wanted.length).map(([id]) => id);
}

/** Makes these the tags of a resource. */
export async function replaceTags(
  session: WriteSession,
  noun: NetworkNoun,
  id: string,
  tags: readonly string[],
): Promise<void> {
  await session.delete(networkTags, { resource_id: id });
  const rows = [...new Set(tags)].map((tag) => ({ resource_type: noun, resource_id: id, tag }));
  if (rows.length > 0) await session.insert(networkTags, rows);
}
