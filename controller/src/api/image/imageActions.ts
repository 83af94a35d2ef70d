// Taking an image out of use and back.
import { changeActivation } from '../../services/image/activation';
import { param } from '../query';
import type { Handler } from '../route';

const action =
  (name: 'deactivate' | 'reactivate'): Handler =>
  async (request, cloud) => {
    await changeActivation(cloud, request.caller, param(request, 'id'), name);
    return { status: 204 };
  };

export const deactivateImage = action('deactivate');
export const reactivateImage = action('reactivate');
