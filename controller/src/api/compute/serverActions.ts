// POST /servers/{id}/action: a table of actions, each with its schema, policy and microversions.
import { ApiError, ConflictError, InvalidError, OverQuotaError } from '../../errors';
import type { Cloud } from '../../cloud';
import type { Server } from '../../db/entities/compute';
import type { WriteSession } from '../../db';
import { findServer } from '../../services/compute/findServer';
import {
  lockServer,
  record,
  resetState,
  startAction,
  unlockServer,
  type Actor,
  type HostAction,
} from '../../services/compute/serverActions';
import { hasGuestAgent } from '../../services/compute/guestAgent';
import { askHost } from '../../services/compute/hostQuestions';
import { limitOf } from '../../services/compute/quotas';
import { deleteServer } from '../../services/compute/serverDelete';
import { createServerImage } from '../../services/compute/serverImages';
import { addFixedIp, removeFixedIp } from '../../services/compute/serverInterfaces';
import { addServerGroup, removeServerGroup } from '../../services/compute/serverSecurityGroups';
import { endResize, migrateServer, resizeServer } from '../../services/compute/serverResize';
import { offloadServer, shelveServer, unshelveServer } from '../../services/compute/serverShelve';
import { requireState, requireUnlocked } from '../../services/compute/serverStates';
import { checkBody } from '../body';
import type { ApiRequest, ApiResponse, Handler, Route } from '../route';
import { evacuate } from './evacuate';
import { migrateLive } from './migrateLive';
import { rebuild } from './rebuild';
import { consoleAction } from './remoteConsoles';
import { rebuildSchema } from './serverSchema';
import {
  addFixedIpSchema,
  changePasswordSchema,
  confirmResizeSchema,
  consoleSchema,
  createBackupSchema,
  createImageSchema,
  evacuateSchema,
  forceDeleteSchema,
  groupSchema,
  lockSchema,
  migrateLiveSchema,
  migrateSchema,
  pauseSchema,
  rdpConsoleSchema,
  rebootSchema,
  removeFixedIpSchema,
  resetStateSchema,
  resizeSchema,
  resumeSchema,
  revertResizeSchema,
  shelveOffloadSchema,
  shelveSchema,
  serialConsoleSchema,
  spiceConsoleSchema,
  startSchema,
  stopSchema,
  suspendSchema,
  unlockSchema,
  unpauseSchema,
  unshelveSchema,
  vncConsoleSchema,
} from './serverActionSchema';
import { serverIdOf } from './servers';

interface ServerAction {
  /** The last minor microversion that has it. */
  readonly until?: number;
  readonly schema: object | ((version: { readonly minor: number }) => object);
  readonly policy: string;
  readonly run: (request: ApiRequest, cloud: Cloud) => Promise<ApiResponse>;
}

const actorOf = (request: ApiRequest): Actor => ({ caller: request.caller, requestId: request.id });
const valueOf = <T>(request: ApiRequest, key: string): T => (request.body as Record<string, T>)[key] as T;

/** Finds the server and works on it in one transaction; answers 202, unless told otherwise, without a body. */
const changing =
  (
    work: (session: WriteSession, cloud: Cloud, request: ApiRequest, server: Server) => Promise<unknown>,
    status = 202,
  ) =>
  async (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    await cloud.db.write(async (session) =>
      work(session, cloud, request, await findServer(session, request.caller, serverIdOf(request))),
    );
    return { status };
  };

const onHost = (operation: HostAction) =>
  changing((session, cloud, request, server) => startAction(session, cloud, actorOf(request), server, operation));

const reboot = changing((session, cloud, request, server) => {
  const hard = valueOf<{ type: string }>(request, 'reboot').type.toUpperCase() === 'HARD';
  return startAction(session, cloud, actorOf(request), server, hard ? 'reboot_hard' : 'reboot');
});

const resize = changing((session, cloud, request, server) => {
  const body = valueOf<{ flavorRef: string | number; 'OS-DCF:diskConfig'?: string }>(request, 'resize');
  const diskConfig = body['OS-DCF:diskConfig'];
  const wanted = { flavorId: String(body.flavorRef), ...(diskConfig === undefined ? {} : { diskConfig }) };
  return resizeServer(session, cloud, actorOf(request), server, wanted);
});

const migrate = changing((session, cloud, request, server) => {
  const value = valueOf<{ host?: string | null } | null>(request, 'migrate');
  const host = request.microversion.minor >= 56 ? (value?.host ?? null) : null;
  if (host !== null)
    cloud.policy.require(request.caller, 'os_compute_api:os-migrate-server:migrate:host', {
      project_id: server.project_id,
    });
  return migrateServer(session, cloud, actorOf(request), server, host);
});

const unshelve = changing((session, cloud, request, server) => {
  const value = valueOf<{ availability_zone?: string | null; host?: string } | null>(request, 'unshelve');
  const { minor } = request.microversion;
  const zone = minor >= 77 ? value?.availability_zone : undefined;
  const host = minor >= 91 ? value?.host : undefined;
  if (host !== undefined)
    cloud.policy.require(request.caller, 'os_compute_api:os-shelve:unshelve_to_host', {
      project_id: server.project_id,
    });
  const wanted = { ...(zone === undefined ? {} : { zone }), ...(host === undefined ? {} : { host }) };
  return unshelveServer(session, cloud, actorOf(request), server, wanted);
});

const shelving = (work: typeof shelveServer) =>
  changing((session, cloud, request, server) => work(session, cloud, actorOf(request), server));

const ending = (operation: 'confirmResize' | 'revertResize', status?: number) =>
  changing((session, cloud, request, server) => endResize(session, cloud, actorOf(request), server, operation), status);

const lock = changing((session, cloud, request, server) => {
  const value = valueOf<{ locked_reason?: string } | null>(request, 'lock');
  const reason = request.microversion.minor >= 73 ? (value?.locked_reason ?? null) : null;
  return lockServer(session, cloud, actorOf(request), server, reason);
});

/** Characters that have no place in a JSON text for people: a terminal would obey them. */
const CONTROL = /[\u0000-\u0008\u000b-\u001f]/g;
const CONSOLE_BYTES = 102_400;

/** The last lines of a text; all of them without a number or with a negative one. */
export function lastLines(text: string, count: number | undefined): string {
  if (count === undefined || count < 0) return text;
  if (count === 0) return '';
  const ended = text.endsWith('\n');
  const lines = (ended ? text.slice(0, -1) : text).split('\n');
  return lines.slice(-count).join('\n') + (ended ? '\n' : '');
}

async function consoleOutput(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const server = await cloud.db.read((session) => findServer(session, request.caller, serverIdOf(request)));
  if (server.vm_state === 'building')
    throw new ConflictError(
      `Cannot 'get_console_output' instance ${server.id} while it is in vm_state building`,
      'InstanceInvalidState',
    );
  const words = `The console log of instance ${server.id} can't be read now`;
  const bytes = await askHost(cloud, server, words, (host) => host.consoleLog(server.id, CONSOLE_BYTES));
  const { length } = valueOf<{ length?: number | string | null }>(request, 'os-getConsoleOutput');
  const count = length === undefined || length === null ? undefined : Number(length);
  return { status: 200, body: { output: lastLines(bytes.toString('utf8').replaceAll(CONTROL, ''), count) } };
}

/** The agent in the guest sets it, if the image promises that there is one; it is stored nowhere. */
async function changePassword(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const server = await cloud.db.read((session) => findServer(session, request.caller, serverIdOf(request)));
  requireUnlocked(server, request.caller);
  requireState(server, 'changePassword');
  if (!hasGuestAgent(server)) throw new ConflictError('QEMU guest agent is not enabled', 'QemuGuestAgentNotEnabled');
  const { adminPass } = valueOf<{ adminPass: string }>(request, 'changePassword');
  const user = server.image?.properties['os_admin_user'] ?? 'root';
  const words = `Failed to set admin password on ${server.id}`;
  await askHost(cloud, server, words, (host) => host.setPassword(server.id, user, adminPass));
  await cloud.db.write((session) =>
    record(session, cloud, actorOf(request), server, 'server.changePassword', `the password of ${user} is set`),
  );
  return { status: 202 };
}

interface ImageBody {
  readonly name: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly backup_type?: string;
  readonly rotation?: number | string;
}

/** Until 2.38 the image's metadata count against the quota of servers' metadata. @throws OverQuotaError */
async function requireMetadataQuota(session: WriteSession, request: ApiRequest, metadata: object): Promise<void> {
  if (request.microversion.minor > 38) return;
  const limit = await limitOf(session, request.caller.projectId ?? '', request.caller.userId, 'metadata_items');
  if (limit >= 0 && Object.keys(metadata).length > limit) throw new OverQuotaError('Image metadata limit exceeded');
}

/** Both ways to make an image: 202 with its address, or from 2.45 on with its id. */
const imaging =
  (action: 'createImage' | 'createBackup') =>
  async (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    const { name, metadata = {}, backup_type, rotation = 1 } = valueOf<ImageBody>(request, action);
    const backup = backup_type === undefined ? {} : { backup: { type: backup_type, rotation: Number(rotation) } };
    const id = await cloud.db.write(async (session) => {
      const server = await findServer(session, request.caller, serverIdOf(request));
      await requireMetadataQuota(session, request, metadata);
      const wanted = { name, metadata, ...backup };
      return createServerImage(session, cloud, actorOf(request), server, wanted);
    });
    if (request.microversion.minor >= 45) return { status: 202, body: { image_id: id } };
    // A backup of which none stays has no address to tell.
    if (Number(rotation) === 0) return { status: 202 };
    return { status: 202, headers: { location: `${request.origin}/image/v2/images/${id}` } };
  };

const group = (work: typeof addServerGroup, action: string) =>
  changing((session, cloud, request, server) =>
    work(session, cloud, server, valueOf<{ name: string }>(request, action).name),
  );

/** An address of a console; from 2.6 on it is a resource of its own. */
const remoteConsole = (action: string, schema: object): ServerAction => ({
  until: 5,
  schema,
  policy: 'os-remote-consoles',
  run: consoleAction(action),
});

const actions: Readonly<Record<string, ServerAction>> = {
  'os-start': { schema: startSchema, policy: 'servers:start', run: onHost('start') },
  'os-stop': { schema: stopSchema, policy: 'servers:stop', run: onHost('stop') },
  reboot: { schema: rebootSchema, policy: 'servers:reboot', run: reboot },
  pause: { schema: pauseSchema, policy: 'os-pause-server:pause', run: onHost('pause') },
  unpause: { schema: unpauseSchema, policy: 'os-pause-server:unpause', run: onHost('unpause') },
  suspend: { schema: suspendSchema, policy: 'os-suspend-server:suspend', run: onHost('suspend') },
  resume: { schema: resumeSchema, policy: 'os-suspend-server:resume', run: onHost('resume') },
  shelve: { schema: shelveSchema, policy: 'os-shelve:shelve', run: shelving(shelveServer) },
  shelveOffload: { schema: shelveOffloadSchema, policy: 'os-shelve:shelve_offload', run: shelving(offloadServer) },
  unshelve: { schema: unshelveSchema, policy: 'os-shelve:unshelve', run: unshelve },
  lock: { schema: lockSchema, policy: 'os-lock-server:lock', run: lock },
  unlock: {
    schema: unlockSchema,
    policy: 'os-lock-server:unlock',
    run: changing((session, cloud, request, server) => unlockServer(session, cloud, actorOf(request), server)),
  },
  resize: { schema: resizeSchema, policy: 'servers:resize', run: resize },
  confirmResize: {
    schema: confirmResizeSchema,
    policy: 'servers:confirm_resize',
    run: ending('confirmResize', 204),
  },
  revertResize: { schema: revertResizeSchema, policy: 'servers:revert_resize', run: ending('revertResize') },
  migrate: { schema: migrateSchema, policy: 'os-migrate-server:migrate', run: migrate },
  'os-migrateLive': {
    schema: migrateLiveSchema,
    policy: 'os-migrate-server:migrate_live',
    run: migrateLive,
  },
  evacuate: { schema: evacuateSchema, policy: 'os-evacuate', run: evacuate },
  rebuild: { schema: rebuildSchema, policy: 'servers:rebuild', run: rebuild },
  'os-getConsoleOutput': { schema: consoleSchema, policy: 'os-console-output', run: consoleOutput },
  'os-getVNCConsole': remoteConsole('os-getVNCConsole', vncConsoleSchema),
  'os-getSPICEConsole': remoteConsole('os-getSPICEConsole', spiceConsoleSchema),
  'os-getRDPConsole': remoteConsole('os-getRDPConsole', rdpConsoleSchema),
  'os-getSerialConsole': remoteConsole('os-getSerialConsole', serialConsoleSchema),
  'os-resetState': {
    schema: resetStateSchema,
    policy: 'os-admin-actions:reset_state',
    run: changing((session, cloud, request, server) =>
      resetState(
        session,
        cloud,
        actorOf(request),
        server,
        valueOf<{ state: 'active' | 'error' }>(request, 'os-resetState').state,
      ),
    ),
  },
  forceDelete: {
    schema: forceDeleteSchema,
    policy: 'os-deferred-delete:force',
    run: changing((session, cloud, request, server) =>
      deleteServer(session, cloud, request.caller, request.id, server),
    ),
  },
  addSecurityGroup: {
    schema: groupSchema('addSecurityGroup'),
    policy: 'os-security-groups:add',
    run: group(addServerGroup, 'addSecurityGroup'),
  },
  removeSecurityGroup: {
    schema: groupSchema('removeSecurityGroup'),
    policy: 'os-security-groups:remove',
    run: group(removeServerGroup, 'removeSecurityGroup'),
  },
  addFixedIp: {
    until: 43,
    schema: addFixedIpSchema,
    policy: 'os-multinic:add',
    run: changing((session, cloud, request, server) => {
      const { networkId } = valueOf<{ networkId: string | number }>(request, 'addFixedIp');
      return addFixedIp(session, cloud, actorOf(request), server, String(networkId));
    }),
  },
  removeFixedIp: {
    until: 43,
    schema: removeFixedIpSchema,
    policy: 'os-multinic:remove',
    run: changing((session, cloud, request, server) => {
      const { address } = valueOf<{ address: string }>(request, 'removeFixedIp');
      return removeFixedIp(session, cloud, actorOf(request), server, address);
    }),
  },
  changePassword: {
    schema: changePasswordSchema,
    policy: 'os-admin-password',
    run: changePassword,
  },
  createImage: {
    schema: createImageSchema,
    policy: 'servers:create_image',
    run: imaging('createImage'),
  },
  createBackup: {
    schema: createBackupSchema,
    policy: 'os-create-backup',
    run: imaging('createBackup'),
  },
};

/** Actions that the API has and this cloud has not, with the microversions at which they exist. */
const absent: Readonly<Record<string, { readonly since?: number; readonly until?: number }>> = {
  ...Object.fromEntries(
    ['rescue', 'unrescue', 'restore', 'injectNetworkInfo', 'resetNetwork'].map((name) => [name, {}]),
  ),
  trigger_crash_dump: { since: 17 },
  addFloatingIp: { until: 43 },
  removeFloatingIp: { until: 43 },
};

/** The action's name: the one key of the body. @throws InvalidError, ApiError 501 */
function actionOf(request: ApiRequest): [string, ServerAction] {
  const { body } = request;
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new InvalidError('Malformed request body', 'MalformedRequestBody');
  const names = Object.keys(body);
  const [name = ''] = names;
  const known = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (names.length > 1) throw new InvalidError(`A request names one action, not ${names.length}: ${names.join(', ')}`);
  const { minor } = request.microversion;
  if (known && minor <= (known.until ?? Infinity)) return [name, known];
  const other = Object.hasOwn(absent, name) ? absent[name] : undefined;
  if (!other || minor < (other.since ?? 0) || minor > (other.until ?? Infinity))
    throw new InvalidError(`There is no such action: ${name}`);
  throw new ApiError(501, 'NotImplemented', `The action ${name} is not implemented here.`);
}

const act: Handler = (request, cloud) => {
  const [, action] = actionOf(request);
  cloud.policy.require(request.caller, `os_compute_api:${action.policy}`, {
    project_id: request.caller.projectId,
    user_id: request.caller.userId,
  });
  const { schema } = action;
  checkBody(
    typeof schema === 'function'
      ? (schema as (version: { readonly minor: number }) => object)(request.microversion)
      : schema,
    request.body,
  );
  return action.run(request, cloud);
};

export const serverActionRoutes: readonly Route[] = [{ method: 'POST', path: '/servers/:id/action', handler: act }];
