// Handlers of a provider's inventories. Totals are what its host's agents found; the rest may be set, and the scheduler obeys it.
import { ApiError, NotFoundError } from '../../errors';
import { refused } from '../../services/placement/errors';
import { MAX_INT, type Inventory } from '../../services/placement/inventory';
import { findProvider, type Provider } from '../../services/placement/providers';
import { setInventories, type WantedInventory } from '../../services/placement/setInventories';
import type { Cloud } from '../../cloud';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Handler } from '../route';
import { answer } from './answer';

const inventoryView = ({ total, reserved, min_unit, max_unit, step_size, allocation_ratio }: Inventory) => ({
  total,
  reserved,
  min_unit,
  max_unit,
  step_size,
  allocation_ratio,
});

const all = (request: ApiRequest, cloud: Cloud, { host, stocks }: Provider): ApiResponse =>
  answer(request, cloud, {
    body: {
      resource_provider_generation: host.generation,
      inventories: Object.fromEntries([...stocks].map(([name, one]) => [name, inventoryView(one)])),
    },
    modified: host.updated_at,
  });

/** @throws NotFoundError */
function one(request: ApiRequest, cloud: Cloud, { host, stocks }: Provider): ApiResponse {
  const name = param(request, 'class');
  const found = stocks.get(name);
  if (!found) throw new NotFoundError(`No inventory of class ${name} for ${host.id}.`);
  return answer(request, cloud, {
    body: { ...inventoryView(found), resource_provider_generation: host.generation },
    modified: host.updated_at,
  });
}

const show =
  (view: typeof all): Handler =>
  (request, cloud) =>
    cloud.db.read(async (session) => view(request, cloud, await findProvider(session, param(request, 'uuid'))));

export const listHandler = show(all);
export const showHandler = show(one);

const integer = (minimum: number) => ({ type: 'integer', minimum, maximum: MAX_INT });
const fields = {
  total: integer(1),
  reserved: integer(0),
  min_unit: integer(1),
  max_unit: integer(1),
  step_size: integer(1),
  allocation_ratio: { type: 'number', minimum: 0, maximum: 3.402_823_466e38 },
};
const generation = { type: 'integer' };
const inventory = (more: object, required: readonly string[]): object => ({
  type: 'object',
  properties: { ...fields, ...more },
  required: ['total', ...required],
  additionalProperties: false,
});

export const createSchema = inventory(
  { resource_class: { type: 'string', pattern: '^[A-Z0-9_]+$' }, resource_provider_generation: generation },
  ['resource_class'],
);
export const updateSchema = inventory({ resource_provider_generation: generation }, ['resource_provider_generation']);
export const replaceSchema = {
  type: 'object',
  properties: {
    resource_provider_generation: generation,
    inventories: {
      type: 'object',
      patternProperties: { '^[A-Z0-9_]+$': inventory({ resource_provider_generation: generation }, []) },
      additionalProperties: false,
    },
  },
  required: ['resource_provider_generation', 'inventories'],
  additionalProperties: false,
};

type WithGeneration = WantedInventory & { readonly resource_provider_generation?: number };
const withoutGeneration = ({ resource_provider_generation: _, ...rest }: WithGeneration): WantedInventory => rest;

/** Changes some of a provider's inventories, or all, and gives them as they are then. */
const change = (
  request: ApiRequest,
  cloud: Cloud,
  known: number,
  inventories: Readonly<Record<string, WithGeneration>>,
  whole: boolean,
  view: typeof all,
): Promise<ApiResponse> =>
  cloud.db.write(async (session) => {
    const id = param(request, 'uuid');
    await setInventories(session, cloud, id, {
      generation: known,
      inventories: Object.fromEntries(
        Object.entries(inventories).map(([name, wanted]) => [name, withoutGeneration(wanted)]),
      ),
      whole,
      allReserved: request.microversion.minor >= 26,
    });
    return view(request, cloud, await findProvider(session, id));
  });

export const replaceHandler: Handler = (request, cloud) => {
  const body = request.body as {
    resource_provider_generation: number;
    inventories: Record<string, WithGeneration>;
  };
  return change(request, cloud, body.resource_provider_generation, body.inventories, true, all);
};

export const updateHandler: Handler = (request, cloud) => {
  const body = request.body as WithGeneration & { resource_provider_generation: number };
  return change(request, cloud, body.resource_provider_generation, { [param(request, 'class')]: body }, false, one);
};

/** Refuses to make or delete inventories of a provider that exists. */
const refusing =
  (what: (request: ApiRequest) => string): Handler =>
  async (request, cloud) => {
    const { host } = await cloud.db.read((session) => findProvider(session, param(request, 'uuid')));
    throw refused(what(request), `the agents of ${host.name} say which resources the host has.`);
  };

export const createHandler = refusing(
  ({ body }) => `create an inventory of ${(body as { resource_class: string }).resource_class}`,
);
export const deleteHandler = refusing((request) => `delete the inventory of ${param(request, 'class')}`);

const refuseAll = refusing(() => 'delete all inventories');
export const deleteAllHandler: Handler = (request, cloud) => {
  if (request.microversion.minor < 5)
    throw new ApiError(405, 'MethodNotAllowed', 'The method DELETE is not allowed for this resource before 1.5.', {
      methods: ['GET', 'POST', 'PUT'],
    });
  return refuseAll(request, cloud);
};
