// The route table of the compute API: every noun's routes below /v2.1, and the version documents.
import type { ApiService, Route } from '../route';
import { aggregateRoutes } from './aggregates';
import { renderComputeError } from './errors';
import { diagnosticsRoutes } from './diagnostics';
import { flavorExtraRoutes } from './flavorExtras';
import { flavorRoutes } from './flavors';
import { hypervisorRoutes } from './hypervisors';
import { instanceActionRoutes } from './instanceActions';
import { keypairRoutes } from './keypairs';
import { maximumVersion, microversionHeaders, minimumVersion, parseMicroversion } from './microversion';
import { migrationRoutes } from './migrations';
import { quotaRoutes } from './quotas';
import { remoteConsoleRoutes } from './remoteConsoles';
import { securityGroupRoutes } from './securityGroups';
import { serverActionRoutes } from './serverActions';
import { serverAddressRoutes } from './serverAddresses';
import { serverCreateRoutes } from './serverCreate';
import { serverGroupRoutes } from './serverGroups';
import { serverMetadataRoutes } from './serverMetadata';
import { serverRoutes } from './servers';
import { serverTagRoutes } from './serverTags';
import { serviceRoutes } from './services';
import { usageRoutes } from './usage';
import { versionRoutes } from './versions';
import { zoneRoutes } from './zones';

const resources: readonly Route[] = [
  ...serverRoutes,
  ...serverCreateRoutes,
  ...serverActionRoutes,
  ...serverMetadataRoutes,
  ...serverTagRoutes,
  ...serverAddressRoutes,
  ...instanceActionRoutes,
  ...migrationRoutes,
  ...diagnosticsRoutes,
  ...remoteConsoleRoutes,
  ...flavorRoutes,
  ...flavorExtraRoutes,
  ...keypairRoutes,
  ...securityGroupRoutes,
  ...quotaRoutes,
  ...usageRoutes,
  ...serviceRoutes,
  ...hypervisorRoutes,
  ...zoneRoutes,
  ...aggregateRoutes,
  ...serverGroupRoutes,
];

/** The same resources answer under /v2, which had no microversions of its own. */
const under = (prefix: string): Route[] => resources.map((route) => ({ ...route, path: prefix + route.path }));

export const computeService: ApiService = {
  name: 'compute',
  prefixes: ['/compute'],
  routes: [...versionRoutes, ...under('/v2.1'), ...under('/v2')],
  renderError: renderComputeError,
  microversions: {
    minimum: minimumVersion,
    maximum: maximumVersion,
    parse: parseMicroversion,
    headers: microversionHeaders,
  },
  headers: (requestId) => ({ 'x-compute-request-id': requestId }),
};
