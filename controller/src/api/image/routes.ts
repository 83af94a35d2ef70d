// The route table of the image API.
import type { ApiService } from '../route';
import { renderImageError } from './errors';
import { getFile, putFile } from './imageData';
import { getImage, getImages, postImage, removeImage } from './images';
import { listVersions, showVersions } from './versions';

export const imageService: ApiService = {
  name: 'image',
  prefixes: ['/image'],
  renderError: renderImageError,
  jsonTypes: ['application/openstack-images-v2.1-json-patch', 'application/openstack-images-v2.0-json-patch'],
  routes: [
    { method: 'GET', path: '/', handler: listVersions, open: true },
    { method: 'GET', path: '/versions', handler: showVersions, open: true },
    { method: 'POST', path: '/v2/images', handler: postImage },
    { method: 'GET', path: '/v2/images', handler: getImages },
    { method: 'GET', path: '/v2/images/:id', handler: getImage },
    { method: 'DELETE', path: '/v2/images/:id', handler: removeImage },
    { method: 'PUT', path: '/v2/images/:id/file', handler: putFile, rawBody: true },
    { method: 'GET', path: '/v2/images/:id/file', handler: getFile },
  ],
};
