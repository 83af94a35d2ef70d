// The route table of the image API.
import type { ApiService } from '../route';
import { renderImageError } from './errors';
import { getFile, putFile } from './imageData';
import { deactivateImage, reactivateImage } from './imageActions';
import { getImageTasks, postImport, putStage } from './imageImport';
import { deleteMember, getMember, getMembers, postMember, putMember } from './imageMembers';
import { getImage, getImages, patchImage, postImage, removeImage } from './images';
import { deleteFromStore } from './imageStores';
import { deleteTag, putTag } from './imageTags';
import { getImportInfo, getStoreDetails, getStores, getUsage } from './info';
import { PATCH_TYPES } from './jsonPatch';
import { getImageSchema, getImagesSchema, getMemberSchema, getMembersSchema } from './schemas';
import { listVersions, showVersions } from './versions';

export const imageService: ApiService = {
  name: 'image',
  prefixes: ['/image'],
  renderError: renderImageError,
  jsonTypes: PATCH_TYPES,
  routes: [
    { method: 'GET', path: '/', handler: listVersions, open: true },
    { method: 'GET', path: '/versions', handler: showVersions, open: true },
    { method: 'POST', path: '/v2/images', handler: postImage },
    { method: 'GET', path: '/v2/images', handler: getImages },
    { method: 'GET', path: '/v2/images/:id', handler: getImage },
    { method: 'PATCH', path: '/v2/images/:id', handler: patchImage },
    { method: 'DELETE', path: '/v2/images/:id', handler: removeImage },
    { method: 'PUT', path: '/v2/images/:id/file', handler: putFile, rawBody: true },
    { method: 'GET', path: '/v2/images/:id/file', handler: getFile },
    { method: 'PUT', path: '/v2/images/:id/stage', handler: putStage, rawBody: true },
    { method: 'POST', path: '/v2/images/:id/import', handler: postImport },
    { method: 'GET', path: '/v2/images/:id/tasks', handler: getImageTasks },
    { method: 'POST', path: '/v2/images/:id/actions/deactivate', handler: deactivateImage },
    { method: 'POST', path: '/v2/images/:id/actions/reactivate', handler: reactivateImage },
    { method: 'PUT', path: '/v2/images/:id/tags/:tag', handler: putTag },
    { method: 'DELETE', path: '/v2/images/:id/tags/:tag', handler: deleteTag },
    { method: 'GET', path: '/v2/images/:id/members', handler: getMembers },
    { method: 'POST', path: '/v2/images/:id/members', handler: postMember },
    { method: 'GET', path: '/v2/images/:id/members/:member', handler: getMember },
    { method: 'PUT', path: '/v2/images/:id/members/:member', handler: putMember },
    { method: 'DELETE', path: '/v2/images/:id/members/:member', handler: deleteMember },
    { method: 'DELETE', path: '/v2/stores/:store/:id', handler: deleteFromStore },
    { method: 'GET', path: '/v2/info/import', handler: getImportInfo },
    { method: 'GET', path: '/v2/info/stores', handler: getStores },
    { method: 'GET', path: '/v2/info/stores/detail', handler: getStoreDetails, policy: 'image:stores_info_detail' },
    { method: 'GET', path: '/v2/info/usage', handler: getUsage },
    { method: 'GET', path: '/v2/schemas/image', handler: getImageSchema },
    { method: 'GET', path: '/v2/schemas/images', handler: getImagesSchema },
    { method: 'GET', path: '/v2/schemas/member', handler: getMemberSchema },
    { method: 'GET', path: '/v2/schemas/members', handler: getMembersSchema },
  ],
};
