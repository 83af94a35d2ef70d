// What the nouns of the network service share: tags, projects and filters by tag.
import type { Command, Option, Options } from '../command';
import { marks, record, sets, str, unmarks, unmarksAll } from '../fields';
import { nounCommands, projectOptions } from '../noun';
import type { Resource } from '../resource';
import { project } from './resources';

const OWNER = projectOptions(project, 'project that owns it (administrators)');
const description: Options = { description: str('description', 'what it is for') };
const NAME: Options = { name: str('name', 'its new name', 'NAME') };

const byTags = (key: string, help: string): Option => str(key, help, 'TAG,TAG');
/** Filters of every list. */
const FILTERS: Options = {
  name: str('name', 'only those of this name', 'NAME'),
  ...projectOptions(project, 'only those of this project'),
};
const TAG_FILTERS: Options = {
  tags: byTags('tags', 'only those with all these tags'),
  'any-tags': byTags('tags-any', 'only those with one of these tags'),
  'not-tags': byTags('not-tags', 'only those without all these tags'),
  'not-any-tags': byTags('not-tags-any', 'only those without any of these tags'),
};

type Spec = Parameters<typeof nounCommands>[1];

/** The commands of a noun of the network service: name, description, owner and tags come with each. */
export function networkNoun(resource: Resource, spec: Spec): Command[] {
  const { list, create, set, unset } = spec;
  const ifTagged = (options: Options): Options => (resource.parts?.['tags'] ? options : {});
  const addTag = ifTagged({ tag: marks('tags', 'a tag of it', 'TAG') });
  const noTag = unmarksAll('tags', 'take all tags away');
  return nounCommands(resource, {
    ...spec,
    list: { ...list, filters: { ...FILTERS, ...ifTagged(TAG_FILTERS), ...list.filters } },
    ...(create && { create: { ...create, options: { ...create.options, ...description, ...OWNER, ...addTag } } }),
    ...(set && {
      set: {
        ...set,
        options: { ...NAME, ...set.options, ...description, ...ifTagged({ 'no-tag': noTag }), ...addTag },
      },
    }),
    ...(unset && {
      unset: {
        ...unset,
        options: {
          ...unset.options,
          ...ifTagged({ tag: unmarks('tags', 'a tag to take away', 'TAG'), 'all-tag': noTag }),
        },
      },
    }),
  });
}

/** `destination=CIDR,gateway=ADDRESS`. */
export const route = record({ destination: 'destination', gateway: 'nexthop' });
/** `subnet=NAME,ip-address=ADDRESS`, or an address alone. */
export const fixedIp = record({ subnet: 'subnet_id', 'ip-address': 'ip_address' }, 'ip_address');

export const sharing = (help = 'every project may use it (administrators)'): Options => ({
  share: sets({ shared: true }, help),
  'no-share': sets({ shared: false }, 'only its project may use it'),
});
