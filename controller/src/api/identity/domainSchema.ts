// What bodies of domains may hold. Other attributes are allowed and kept.
import { Type, type Static } from '@sinclair/typebox';
import { Description, ImmutableOption, nameOf } from './fields';
import { Tags } from './projectSchema';

const changeable = {
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean()),
  tags: Type.Optional(Tags),
  options: Type.Optional(ImmutableOption),
};

export const DomainCreate = Type.Object({
  domain: Type.Object({
    name: nameOf(64),
    explicit_domain_id: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
    ...changeable,
  }),
});
export type DomainCreate = Static<typeof DomainCreate>['domain'];
export const DomainUpdate = Type.Object({
  domain: Type.Object({ name: Type.Optional(nameOf(64)), ...changeable }, { minProperties: 1 }),
});
export type DomainUpdate = Static<typeof DomainUpdate>['domain'];
