// The query of GET /allocation_candidates: groups by suffix, and what holds for the request as a whole.
import { InvalidError } from '../../errors';
import type { CandidateRequest, RequestGroup } from '../../services/placement/candidates';
import { queryValue } from '../query';
import type { ApiRequest } from '../route';
import { groupOf, parseTraits, requireKeys } from './query';

const BAD_VALUE = 'placement.query.bad_value';

/** The suffix of a key of a group; undefined for another key, or one that is not there yet at this microversion. */
function suffixOf(key: string, minor: number): string | undefined {
  const [, name = '', suffix] = /^(resources|required|member_of|in_tree)(.*)$/s.exec(key) ?? [];
  const since = { resources: 10, required: 17, member_of: 21, in_tree: 31 }[name];
  if (since === undefined || minor < since || suffix === undefined) return undefined;
  if (suffix === '') return '';
  const form = minor >= 33 ? /^[a-zA-Z0-9_-]{1,64}$/ : /^[1-9][0-9]*$/;
  return minor >= 25 && form.test(suffix) ? suffix : undefined;
}

/** Keys of the whole request and the microversions at which they came. */
const WHOLE: Readonly<Record<string, number>> = { limit: 16, group_policy: 25, root_required: 35, same_subtree: 36 };

/** Suffixes that are named in `same_subtree`. One tree has one provider here, so it is always one subtree. @throws InvalidError */
function subtreeSuffixes({ query }: ApiRequest): string[] {
  const suffixes = (query.get('same_subtree') ?? []).flatMap((value) => value.split(',').map((one) => one.trim()));
  if (suffixes.includes(''))
    throw new InvalidError('The group without suffix can not be named in same_subtree.', BAD_VALUE);
  return suffixes;
}

/** @throws InvalidError for groups without resources, which from 1.36 on must be in a subtree with others */
function requireResources(request: ApiRequest, groups: ReadonlyMap<string, RequestGroup>): void {
  const empty = [...groups].filter(([, { resources }]) => resources.size === 0).map(([suffix]) => suffix);
  if (empty.length === groups.size)
    throw new InvalidError(
      'There must be at least one resources or resources[$S] parameter.',
      'placement.query.missing_value',
    );
  const subtree = subtreeSuffixes(request);
  const unknown = subtree.filter((suffix) => !groups.has(suffix));
  if (unknown.length > 0)
    throw new InvalidError(`No group has a suffix that same_subtree names: ${unknown.join(', ')}.`, BAD_VALUE);
  const alone = empty.filter((suffix) => !subtree.includes(suffix));
  if (alone.length > 0)
    throw new InvalidError(
      `All request groups must specify resources; these do not: ${alone.map((suffix) => `'${suffix}'`).join(', ')}.`,
      BAD_VALUE,
    );
}

/** @throws InvalidError for traits that are required and forbidden */
function requireNoConflict(key: string, { required, forbidden }: Pick<RequestGroup, 'required' | 'forbidden'>): void {
  const conflict = required.find((any) => any.every((name) => forbidden.includes(name)));
  if (conflict)
    throw new InvalidError(
      `Conflicting required and forbidden traits found in ${key}: ${conflict.join(', ')}.`,
      BAD_VALUE,
    );
}

/** @throws InvalidError */
function rootOf({ query }: ApiRequest): CandidateRequest['root'] {
  const values = query.get('root_required') ?? [];
  if (values.length > 1)
    throw new InvalidError(
      "Query parameter 'root_required' may be specified only once.",
      'placement.query.duplicate_key',
    );
  // Any of several traits can not be asked of a root at any microversion.
  const root = values[0] === undefined ? { required: [], forbidden: [] } : parseTraits(values[0], 38);
  requireNoConflict('root_required', root);
  return root;
}

/** @throws InvalidError */
function limitOf({ query }: ApiRequest): number | undefined {
  const limit = queryValue(query, 'limit');
  if (limit === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(limit))
    throw new InvalidError(`Invalid query string parameters: 'limit' must be at least 1, got '${limit}'.`);
  return Number(limit);
}

/** @throws InvalidError when there are several groups with suffixes and nothing says whether they may share a provider */
function isolateOf({ query }: ApiRequest, groups: ReadonlyMap<string, RequestGroup>): boolean {
  const policy = queryValue(query, 'group_policy');
  if (policy !== undefined && policy !== 'none' && policy !== 'isolate')
    throw new InvalidError(`Invalid query string parameters: 'group_policy' is none or isolate, not '${policy}'.`);
  const suffixed = [...groups.keys()].filter((suffix) => suffix !== '');
  if (policy === undefined && suffixed.length > 1)
    throw new InvalidError(
      'The "group_policy" parameter is required when specifying more than one "resources{N}" parameter.',
    );
  return policy === 'isolate';
}

/** What a request asks for. @throws InvalidError */
export function parseCandidates(request: ApiRequest): CandidateRequest {
  const { minor } = request.microversion;
  const suffixes = new Set([...request.query.keys()].flatMap((key) => suffixOf(key, minor) ?? []));
  requireKeys(
    request,
    (key) => suffixOf(key, minor) !== undefined || (Object.hasOwn(WHOLE, key) && minor >= (WHOLE[key] ?? 0)),
  );
  const groups = new Map([...suffixes].map((suffix) => [suffix, groupOf(request, suffix)]));
  requireResources(request, groups);
  for (const [suffix, group] of groups) requireNoConflict(`required${suffix}`, group);
  return { groups, root: rootOf(request), limit: limitOf(request), isolate: isolateOf(request, groups) };
}
