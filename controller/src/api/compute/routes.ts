// The route table of the compute API.
import type { ApiService } from '../route';
import { renderComputeError } from './errors';

export const computeService: ApiService = {
  name: 'compute',
  prefixes: ['/compute'],
  routes: [],
  renderError: renderComputeError,
};
