// The route table of the image API.
import type { ApiService } from '../route';
import { renderImageError } from './errors';

export const imageService: ApiService = {
  name: 'image',
  prefixes: ['/image'],
  routes: [],
  renderError: renderImageError,
};
