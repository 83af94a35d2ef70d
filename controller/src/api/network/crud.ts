// List, show, create (one or many), update and delete of any kind of resource: parse, authorise, call, render.
import type { Cloud } from '../../cloud';
import { list, type Row, type Table } from '../../db';
import { ApiError } from '../../errors';
import type { Caller } from '../../services/caller';
import type { NetworkContext } from '../../services/network/context';
import { badRequest } from '../../services/network/errors';
import { mapInSlices } from '../../slices';
import { findVisible } from '../../services/network/resource';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { bodyItems, readCreate, readUpdate, type ReadBody } from './attribute';
import { listOptions, pageLinks, selectFields } from './listing';
import type { Noun, Viewing } from './noun';

type Named = { readonly resource: { readonly collection: string } };
const ruleOf = (noun: Named, verb: string): string => `network:${noun.resource.collection}:${verb}`;

/** What rules may look at: the resource with its owner under both names. */
async function targetOf<T extends Table>(
  noun: Noun<T>,
  viewing: Viewing,
  subject: { readonly row?: Row<T>; readonly values: Readonly<Record<string, unknown>> },
  projectId: unknown,
): Promise<Record<string, unknown>> {
  const more = await noun.policyTarget?.(viewing, subject);
  return { ...subject.row, ...subject.values, ...more, project_id: projectId, tenant_id: projectId };
}

/** The resource's rule and those of the guarded attributes that the body sets. @throws ForbiddenError */
function authorise<T extends Table>(
  noun: Noun<T>,
  { cloud, caller }: { cloud: Cloud; caller: Caller },
  verb: 'create' | 'update' | 'delete',
  target: Record<string, unknown>,
  given: readonly string[] = [],
): void {
  const rule = ruleOf(noun, verb);
  cloud.policy.require(caller, rule, target);
  for (const name of given) if (noun.attributes[name]?.guarded) cloud.policy.require(caller, `${rule}:${name}`, target);
}

/** Bodies without the attributes that the caller may not see. */
async function render<T extends Table>(noun: Noun<T>, viewing: Viewing, rows: readonly Row<T>[]) {
  const hidden = Object.keys(noun.attributes).filter((name) => noun.attributes[name]?.hidden);
  const bodies = await noun.views(viewing, rows);
  const rule = ruleOf(noun, 'show');
  return mapInSlices(bodies, (body) => {
    const secret = hidden.filter((name) => !viewing.cloud.policy.allows(viewing.caller, `${rule}:${name}`, body));
    return secret.length === 0
      ? body
      : Object.fromEntries(Object.entries(body).filter(([key]) => !secret.includes(key)));
  });
}

/** The owner of what is created. @throws InvalidError when a caller names a project that is not theirs */
function ownerOf(cloud: Cloud, caller: Caller, noun: Named, named: string | undefined): string {
  if (named !== undefined && named !== caller.projectId && !cloud.policy.allows(caller, ruleOf(noun, 'all_projects')))
    throw badRequest(
      "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin privileges",
    );
  const projectId = named ?? caller.projectId;
  if (projectId === null) throw badRequest('Running without a project scope requires that project_id is specified');
  return projectId;
}

/** @throws ApiError 412 when the resource is not at the revision that If-Match names, InvalidError for a malformed one */
function checkRevision(request: ApiRequest, row: { id?: unknown; revision?: unknown }): void {
  const header = request.headers['if-match'];
  if (header === undefined) return;
  const wanted = [...header.matchAll(/revision_number=([^",\s]*)/g)].map((match) => match[1] ?? '');
  if (wanted.length === 0) return;
  const [only] = wanted;
  if (wanted.length > 1 || only === undefined || !/^\d+$/.test(only))
    throw badRequest('Revision number etag must be in the format of revision_number=<int>');
  if (Number(only) !== row.revision)
    throw new ApiError(
      412,
      'RevisionNumberConstraintFailed',
      `Constrained to ${only}, but current revision is ${String(row.revision)}`,
    );
}

async function listResources<T extends Table>(noun: Noun<T>, request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  cloud.policy.require(caller, ruleOf(noun, 'list'), { project_id: caller.projectId });
  await noun.beforeList?.(cloud, caller);
  const collection = noun.resource.collection;
  return cloud.db.read(async (session) => {
    const viewing = { session, cloud, caller };
    const rows = await list(session, noun.resource.table, await listOptions(noun, request, viewing));
    const bodies = (await render(noun, viewing, rows)).map((body) => selectFields(request.query, body));
    const links = pageLinks(
      request,
      rows.map((row) => String((row as { id?: unknown }).id)),
    );
    return { status: 200, body: { [collection]: bodies, ...(links ? { [`${collection}_links`]: links } : {}) } };
  });
}

async function showResource<T extends Table>(noun: Noun<T>, request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  return cloud.db.read(async (session) => {
    const viewing = { session, cloud, caller };
    const row = await findVisible(session, cloud, caller, noun.resource, param(request, 'id'));
    const [body] = await render(noun, viewing, [row]);
    return { status: 200, body: { [noun.member]: selectFields(request.query, body ?? {}) } };
  });
}

/** One or many; many are all or nothing. */
async function createResources<T extends Table>(
  noun: Noun<T>,
  request: ApiRequest,
  cloud: Cloud,
): Promise<ApiResponse> {
  const { caller } = request;
  const { items, bulk } = bodyItems(request.body, noun.member, noun.resource.collection);
  const create = noun.create;
  if (!create) throw badRequest('This resource can not be created');
  const read: ReadBody[] = items.map((item) => readCreate(noun.attributes, item));
  const owned = read.map((body) => ({ ...body, projectId: ownerOf(cloud, caller, noun, body.projectId) }));
  if (bulk) noun.checkBulk?.(owned);
  return cloud.db.write(async (session) => {
    const context: NetworkContext = { session, cloud, caller };
    const rows: Row<T>[] = [];
    for (const body of owned) {
      const target = await targetOf(noun, context, { values: body.values }, body.projectId);
      authorise(noun, context, 'create', target, Object.keys(body.values));
      rows.push(await create(context, body));
    }
    const bodies = await render(noun, context, rows);
    return { status: 201, body: bulk ? { [noun.resource.collection]: bodies } : { [noun.member]: bodies[0] } };
  });
}

/** The row to change, in the transaction that changes it. @throws NotFoundError, ForbiddenError, ApiError 412 */
async function toChange<T extends Table>(
  noun: Noun<T>,
  context: NetworkContext,
  request: ApiRequest,
  verb: 'update' | 'delete',
  values: Readonly<Record<string, unknown>>,
): Promise<Row<T>> {
  const { session, cloud, caller } = context;
  const row = await findVisible(session, cloud, caller, noun.resource, param(request, 'id'), 'exclusive');
  const owner = (row as { project_id?: unknown }).project_id;
  authorise(noun, context, verb, await targetOf(noun, context, { row, values: {} }, owner), Object.keys(values));
  checkRevision(request, row);
  return row;
}

async function updateResource<T extends Table>(noun: Noun<T>, request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  const { items, bulk } = bodyItems(request.body, noun.member, noun.resource.collection);
  const update = noun.update;
  if (bulk || !update) throw badRequest('Bulk update is not supported');
  return cloud.db.write(async (session) => {
    const context: NetworkContext = { session, cloud, caller };
    const given = items[0] ?? {};
    const row = await toChange(noun, context, request, 'update', given);
    const changed = await update(context, row, readUpdate(noun.attributes, given));
    const [body] = await render(noun, context, [changed]);
    return { status: 200, body: { [noun.member]: body } };
  });
}

async function deleteResource<T extends Table>(noun: Noun<T>, request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { caller } = request;
  return cloud.db.write(async (session) => {
    const context: NetworkContext = { session, cloud, caller };
    await noun.remove?.(context, await toChange(noun, context, request, 'delete', {}));
    return { status: 204 };
  });
}

/** The routes of a kind of resource, as far as it can be created, changed and deleted. */
export function crudRoutes<T extends Table>(noun: Noun<T>): Route[] {
  const one = `${noun.path}/:id`;
  const routes: Route[] = [
    { method: 'GET', path: noun.path, handler: (request, cloud) => listResources(noun, request, cloud) },
    { method: 'GET', path: one, handler: (request, cloud) => showResource(noun, request, cloud) },
  ];
  if (noun.create)
    routes.push({
      method: 'POST',
      path: noun.path,
      handler: (request, cloud) => createResources(noun, request, cloud),
    });
  if (noun.update)
    routes.push({ method: 'PUT', path: one, handler: (request, cloud) => updateResource(noun, request, cloud) });
  if (noun.remove)
    routes.push({ method: 'DELETE', path: one, handler: (request, cloud) => deleteResource(noun, request, cloud) });
  return routes;
}
