// Taking an image out of use and back.
import { changeActivation } from '../../services/image/activation';
import type { Handler } from '../route';

const action =
  (name: 'deactivate' | 'reactivate'): Handler =>
  async (request, cloud) => {
    await changeActivation(cloud, request.caller, request.params['id'] ?? '', name);
    return { status: 204 };
  };

export const deactivateImage = action('deactivate');
export const reactivateImage = action('reactivate');
