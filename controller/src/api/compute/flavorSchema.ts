// Bodies of flavor requests.
import { boolean, byVersion, name, object, projectId } from './schemaTypes';

const MAX = 2147483647;
const positive = { type: ['integer', 'string'], pattern: '^[0-9]*[1-9][0-9]*$', minimum: 1, maximum: MAX };
const nonNegative = { type: ['integer', 'string'], pattern: '^[0-9]+$', minimum: 0, maximum: MAX };
const description = { type: ['string', 'null'], maxLength: 65535, pattern: '^[^\\p{C}\\p{Zl}\\p{Zp}]*$' };

export const flavorCreate = byVersion((minor) =>
  object(
    {
      flavor: object(
        {
          name,
          id: {
            type: ['string', 'number', 'null'],
            minLength: 1,
            maxLength: 255,
            pattern: '^(?! )[a-zA-Z0-9. _-]+(?<! )$',
          },
          ram: positive,
          vcpus: positive,
          disk: nonNegative,
          'OS-FLV-EXT-DATA:ephemeral': nonNegative,
          swap: nonNegative,
          rxtx_factor: {
            type: ['number', 'string'],
            pattern: '^[0-9]+(\\.[0-9]+)?$',
            exclusiveMinimum: 0,
            maximum: 3.40282e38,
          },
          'os-flavor-access:is_public': boolean,
          ...(minor >= 55 ? { description } : {}),
        },
        ['name', 'ram', 'vcpus', 'disk'],
      ),
    },
    ['flavor'],
  ),
);

export const flavorUpdate = object({ flavor: object({ description }, ['description']) }, ['flavor']);

const spec = { '^[a-zA-Z0-9_:. -]{1,255}$': { type: ['string', 'number'], maxLength: 255 } };
export const extraSpecsCreate = object(
  { extra_specs: { type: 'object', patternProperties: spec, additionalProperties: false } },
  ['extra_specs'],
);
export const extraSpecUpdate = {
  type: 'object',
  patternProperties: spec,
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
};

export const flavorAction = {
  type: 'object',
  properties: {
    addTenantAccess: object({ tenant: projectId }, ['tenant']),
    removeTenantAccess: object({ tenant: projectId }, ['tenant']),
  },
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
};
