// Flavors as the compute API shows them at each microversion.
import type { Flavor } from '../../db/entities/compute';
import type { ExtraSpecs } from '../../services/compute/flavors';
import type { ApiRequest } from '../route';
import { resourceLinks } from './links';

type Viewer = Pick<ApiRequest, 'origin' | 'microversion'>;

export const flavorSummary = (request: Viewer, flavor: Flavor) => ({
  id: flavor.flavorid,
  name: flavor.name,
  links: resourceLinks(request, 'flavors', flavor.flavorid),
  ...(request.microversion.minor >= 55 ? { description: flavor.description } : {}),
});

export function flavorDetail(request: Viewer, flavor: Flavor, extraSpecs: ExtraSpecs) {
  const { minor } = request.microversion;
  return {
    ...flavorSummary(request, flavor),
    ram: flavor.ram,
    disk: flavor.disk,
    swap: flavor.swap === 0 && minor < 75 ? '' : flavor.swap,
    'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeral,
    'OS-FLV-DISABLED:disabled': flavor.disabled,
    vcpus: flavor.vcpus,
    'os-flavor-access:is_public': flavor.is_public,
    rxtx_factor: flavor.rxtx_factor,
    ...(minor >= 61 ? { extra_specs: extraSpecs } : {}),
  };
}
