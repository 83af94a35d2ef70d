// Handlers of /os-keypairs.
import type { Keypair } from '../../db/entities/compute';
import { ApiError } from '../../errors';
import { addKeypair, deleteKeypair, findKeypair, listKeypairs } from '../../services/compute/keypairs';
import { fingerprint, generateSshKey, parsePublicKey } from '../../services/compute/sshKeys';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { MAX_PAGE, nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { byVersion, object } from './schemaTypes';
import { isoMicroseconds } from './times';

const createSchema = byVersion((minor) =>
  object(
    {
      keypair: object(
        {
          name: {
            type: 'string',
            minLength: 1,
            maxLength: 255,
            pattern: minor >= 92 ? '^(?! )[_\\-@. a-zA-Z0-9]+(?<! )$' : '^(?! )[_\\- a-zA-Z0-9]+(?<! )$',
          },
          public_key: { type: 'string' },
          ...(minor >= 2 ? { type: { enum: ['ssh', 'x509'] } } : {}),
          ...(minor >= 10 ? { user_id: { type: 'string' } } : {}),
        },
        minor >= 92 ? ['name', 'public_key'] : ['name'],
      ),
    },
    ['keypair'],
  ),
);

/** Whose keys: the caller's, or from 2.10 on another user's for who may. @throws ForbiddenError */
function userOf(request: ApiRequest, policy: (target: { user_id: string }) => void, body?: string): string {
  const asked = body ?? (request.microversion.minor >= 10 ? request.query.get('user_id')?.[0] : undefined);
  const userId = asked ?? request.caller.userId;
  policy({ user_id: userId });
  return userId;
}

const summary = (request: ApiRequest, row: Keypair) => ({
  name: row.name,
  public_key: row.public_key,
  fingerprint: row.fingerprint,
  ...(request.microversion.minor >= 2 ? { type: row.type } : {}),
});

interface KeypairBody {
  readonly name: string;
  readonly public_key?: string;
  readonly type?: string;
  readonly user_id?: string;
}

const rule = (operation: string): string => `os_compute_api:os-keypairs:${operation}`;

const create: Handler = async (request, cloud) => {
  const { keypair: body } = request.body as { keypair: KeypairBody };
  const userId = userOf(
    request,
    (target) => cloud.policy.require(request.caller, rule('create'), target),
    body.user_id,
  );
  if (body.type === 'x509')
    throw new ApiError(501, 'NotImplemented', 'Keypairs of type x509 are not implemented here: use type ssh.');
  const generated = body.public_key === undefined ? await generateSshKey() : undefined;
  const publicKey = generated?.publicKey ?? body.public_key ?? '';
  const print = generated?.fingerprint ?? fingerprint(parsePublicKey(publicKey));
  const row = await cloud.db.write((session) =>
    addKeypair(session, cloud, request.caller.projectId, {
      userId,
      name: body.name.trim(),
      publicKey,
      fingerprint: print,
    }),
  );
  return {
    status: request.microversion.minor >= 2 ? 201 : 200,
    body: {
      keypair: {
        ...summary(request, row),
        user_id: row.user_id,
        ...(generated ? { private_key: generated.privateKey } : {}),
      },
    },
  };
};

const index: Handler = (request, cloud) => {
  const pages = request.microversion.minor >= 35;
  refuseUnknownQuery(request, ['user_id', 'limit', 'marker']);
  const page = pages ? readPage(request) : { limit: MAX_PAGE, marker: undefined };
  const userId = userOf(request, (target) => cloud.policy.require(request.caller, rule('index'), target));
  return cloud.db.read(async (session) => {
    const rows = await listKeypairs(session, userId, page);
    const links = pages ? nextPage(request, 'os-keypairs', page, rows.at(-1)?.name, rows.length) : undefined;
    return {
      status: 200,
      body: {
        keypairs: rows.map((row) => ({ keypair: summary(request, row) })),
        ...(links ? { keypairs_links: links } : {}),
      },
    };
  });
};

const show: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['user_id']);
  const userId = userOf(request, (target) => cloud.policy.require(request.caller, rule('show'), target));
  return cloud.db.read(async (session) => {
    const row = await findKeypair(session, userId, param(request, 'name'));
    return {
      status: 200,
      body: {
        keypair: {
          ...summary(request, row),
          user_id: row.user_id,
          id: row.sequence,
          created_at: isoMicroseconds(row.created_at),
          updated_at: null,
          deleted: false,
          deleted_at: null,
        },
      },
    };
  });
};

const remove: Handler = async (request, cloud) => {
  refuseUnknownQuery(request, ['user_id']);
  const userId = userOf(request, (target) => cloud.policy.require(request.caller, rule('delete'), target));
  await cloud.db.write((session) => deleteKeypair(session, userId, param(request, 'name')));
  return { status: request.microversion.minor >= 2 ? 204 : 202 };
};

export const keypairRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-keypairs', handler: index },
  { method: 'POST', path: '/os-keypairs', handler: create, schema: createSchema },
  { method: 'GET', path: '/os-keypairs/:name', handler: show },
  { method: 'DELETE', path: '/os-keypairs/:name', handler: remove },
];
