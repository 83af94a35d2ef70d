// The route table of the network API.
import type { ApiService } from '../route';
import { renderNetworkError } from './errors';

export const networkService: ApiService = {
  name: 'network',
  prefixes: ['/network'],
  routes: [],
  renderError: renderNetworkError,
};
