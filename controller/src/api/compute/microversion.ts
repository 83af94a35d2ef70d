// Microversions of the compute API: both header forms, read and answered.
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, InvalidError } from '../../errors';
import type { Microversion } from '../route';

export const minimumVersion: Microversion = { major: 2, minor: 1 };
/** The newest version at which every body is exact. */
export const maximumVersion: Microversion = { major: 2, minor: 96 };

export const versionText = (version: Microversion): string => `${version.major}.${version.minor}`;

/** The version that a header asks for: "compute 2.79" among other services', or the older form's "2.79". */
function asked(headers: IncomingHttpHeaders): string | undefined {
  const standard = headers['openstack-api-version'];
  const values = Array.isArray(standard) ? standard : (standard?.split(',') ?? []);
  for (const value of values) {
    const [service, version] = value.trim().split(/\s+/);
    if (service?.toLowerCase() === 'compute' && version !== undefined) return version;
  }
  const legacy = headers['x-openstack-nova-api-version'];
  return Array.isArray(legacy) ? legacy[0] : legacy?.trim();
}

/**
 * The microversion of a request; the minimum when it names none.
 * @throws InvalidError for a malformed one, ApiError 406 for one that is not served
 */
export function parseMicroversion(headers: IncomingHttpHeaders): Microversion {
  const text = asked(headers);
  if (text === undefined) return minimumVersion;
  if (text.toLowerCase() === 'latest') return maximumVersion;
  const match = /^([1-9]\d{0,4})\.(0|[1-9]\d{0,4})$/.exec(text);
  if (!match)
    throw new InvalidError(
      `API Version String ${text} is of invalid format. Must be of format MajorNum.MinorNum.`,
      'InvalidAPIVersionString',
    );
  const [major, minor] = [Number(match[1]), Number(match[2])];
  if (major !== minimumVersion.major || minor < minimumVersion.minor || minor > maximumVersion.minor) {
    throw new ApiError(
      406,
      'InvalidGlobalAPIVersion',
      `Version ${text} is not supported by the API. Minimum is ${versionText(minimumVersion)} and maximum is ${versionText(maximumVersion)}.`,
    );
  }
  return { major, minor };
}

/** What every answer says about its version, errors included. */
export function microversionHeaders(version: Microversion): Readonly<Record<string, string>> {
  return {
    'openstack-api-version': `compute ${versionText(version)}`,
    'x-openstack-nova-api-version': versionText(version),
    vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
  };
}
