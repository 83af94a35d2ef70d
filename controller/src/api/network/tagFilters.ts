// The four tag filters of lists: all of, any of, and their opposites.
import type { Condition, ReadSession, Table } from '../../db';
import { idsWithTags } from '../../services/network/tags';
import type { NetworkNoun } from '../../services/network/errors';

type Filter<T extends Table> = (
  values: readonly string[],
  viewing: { readonly session: ReadSession },
) => Promise<readonly Condition<T>[]>;

const split = (values: readonly string[]): string[] =>
  values.flatMap((value) => value.split(',')).filter((tag) => tag !== '');

/** Filters `tags`, `tags-any`, `not-tags` and `not-tags-any` of a kind of resource. */
export function tagFilters<T extends Table>(noun: NetworkNoun): Readonly<Record<string, Filter<T>>> {
  const filter =
    (op: 'in' | 'not in', all: boolean): Filter<T> =>
    async (values, { session }) => [{ column: 'id', op, value: await idsWithTags(session, noun, split(values), all) }];
  return {
    tags: filter('in', true),
    'tags-any': filter('in', false),
    'not-tags': filter('not in', true),
    'not-tags-any': filter('not in', false),
  };
}
