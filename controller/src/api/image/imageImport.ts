// Staging of bytes and their import.
import type { ImageTask } from '../../db/entities/image';
import { ConflictError, InvalidError } from '../../errors';
import { importImage, listImageTasks } from '../../services/image/importImage';
import { stageImage } from '../../services/image/stage';
import { STORE_ID } from '../../services/image/store';
import { param } from '../query';
import type { Handler } from '../route';
import { withBody } from './imageData';
import { IMPORT_METHODS } from './images';
import { wireTime } from './imageView';

export const putStage: Handler = async (request, cloud) => {
  await withBody(request, (declared) =>
    stageImage(cloud, request.caller, param(request, 'id'), { stream: request.stream, declared }),
  );
  return { status: 204 };
};

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** @throws InvalidError (malformed, unknown method), ConflictError (unknown store) */
function requireImport(value: unknown): void {
  if (value === undefined) throw new InvalidError('Body expected in request.');
  const body = object(value);
  if (!('method' in body)) throw new InvalidError("Import request requires a 'method' field.");
  const method = object(body['method']);
  if (!('name' in method)) throw new InvalidError("Import request requires a 'name' field.");
  if (typeof method['name'] !== 'string' || !IMPORT_METHODS.includes(method['name'])) {
    throw new InvalidError(`Unknown import method name '${String(method['name'])}'.`);
  }
  for (const key of ['all_stores_must_succeed', 'all_stores']) {
    if (body[key] !== undefined && typeof body[key] !== 'boolean') {
      throw new InvalidError(`'${key}' must be boolean value only`);
    }
  }
  const stores = body['stores'] ?? [];
  if (!Array.isArray(stores)) throw new InvalidError("'stores' must be a list of stores");
  const unknown: unknown = stores.find((store) => store !== STORE_ID);
  if (unknown !== undefined) throw new ConflictError(`Store ${JSON.stringify(unknown)} is not available on this node.`);
}

export const postImport: Handler = async (request, cloud) => {
  requireImport(request.body);
  const { id = '' } = request.params;
  await importImage(cloud, request.caller, id, { requestId: request.id, input: request.body });
  return { status: 202 };
};

function taskView(task: ImageTask): object {
  return {
    id: task.id,
    type: 'api_image_import',
    status: task.status,
    owner: task.owner,
    input: { import_req: task.input, image_id: task.image_id, backend: [STORE_ID] },
    result: task.status === 'success' ? { image_id: task.image_id } : null,
    message: task.message,
    image_id: task.image_id,
    request_id: task.request_id,
    user_id: task.user_id,
    created_at: wireTime(task.created_at),
    updated_at: wireTime(task.updated_at),
    // Kept as long as their image.
    expires_at: null,
    deleted: false,
    deleted_at: null,
  };
}

export const getImageTasks: Handler = async (request, cloud) => {
  const tasks = await listImageTasks(cloud, request.caller, param(request, 'id'));
  return { status: 200, body: { tasks: tasks.map(taskView) } };
};
