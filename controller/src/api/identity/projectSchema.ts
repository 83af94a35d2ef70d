// What bodies of projects and their tags may hold. Other attributes are allowed and kept.
import { Type, type Static } from '@sinclair/typebox';
import { MAX_TAGS } from '../../services/identity/projects';
import { Description, IdText, ImmutableOption, nameOf, nullable } from './fields';

export const Tag = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^,/]*$' });
export const Tags = Type.Array(Tag, { maxItems: MAX_TAGS, uniqueItems: true });

const changeable = {
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean()),
  tags: Type.Optional(Tags),
  options: Type.Optional(ImmutableOption),
};
const place = {
  domain_id: Type.Optional(nullable(IdText)),
  parent_id: Type.Optional(nullable(IdText)),
  is_domain: Type.Optional(Type.Boolean()),
};

export const ProjectCreate = Type.Object({ project: Type.Object({ name: nameOf(64), ...changeable, ...place }) });
export type ProjectCreate = Static<typeof ProjectCreate>['project'];
export const ProjectUpdate = Type.Object({
  project: Type.Object({ name: Type.Optional(nameOf(64)), ...changeable, ...place }, { minProperties: 1 }),
});
export type ProjectUpdate = Static<typeof ProjectUpdate>['project'];
export const TagsUpdate = Type.Object({ tags: Tags });
export type TagsUpdate = Static<typeof TagsUpdate>;

export const PROJECT_FIELDS = [
  'name',
  'description',
  'enabled',
  'tags',
  'options',
  'domain_id',
  'parent_id',
  'is_domain',
] as const;
