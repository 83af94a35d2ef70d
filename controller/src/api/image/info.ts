// What this image service offers and what a project uses of it.
import { imageUsage, MIB } from '../../services/image/quota';
import { imageDirectory } from '../../services/image/directory';
import { STORE_ID } from '../../services/image/store';
import type { Handler } from '../route';
import { IMPORT_METHODS } from './images';

const STORE = { id: STORE_ID, description: 'Files on the controller', default: 'true' };

export const getImportInfo: Handler = () => ({
  status: 200,
  body: { 'import-methods': { description: 'Import methods available.', type: 'array', value: IMPORT_METHODS } },
});

export const getStores: Handler = () => ({ status: 200, body: { stores: [STORE] } });

export const getStoreDetails: Handler = (_request, cloud) => {
  const properties = { data_dir: imageDirectory(cloud), chunk_size: MIB, thin_provisioning: false };
  return { status: 200, body: { stores: [{ ...STORE, type: 'file', weight: 0, properties }] } };
};

export const getUsage: Handler = async (request, cloud) => {
  const usage = await cloud.db.read((session) => imageUsage(session, request.caller.projectId ?? ''));
  const limits = cloud.config.image;
  return {
    status: 200,
    body: {
      usage: {
        image_size_total: { usage: Math.floor(usage.bytes / MIB), limit: limits.max_total_mib },
        image_stage_total: { usage: Math.floor(usage.stagedBytes / MIB), limit: limits.max_staged_mib },
        image_count_total: { usage: usage.images, limit: limits.max_images },
        image_count_uploading: { usage: usage.uploads, limit: limits.max_uploads },
      },
    },
  };
};
