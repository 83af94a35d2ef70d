// Microversions of the placement API: the header, read and answered.
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, InvalidError } from '../../errors';
import type { Microversion } from '../route';

export const minimumVersion: Microversion = { major: 1, minor: 0 };
/** The newest version at which every body is exact. */
export const maximumVersion: Microversion = { major: 1, minor: 39 };

export const versionText = (version: Microversion): string => `${version.major}.${version.minor}`;

/** The version that the header asks for, which may name other services, too. */
function asked(headers: IncomingHttpHeaders): string | undefined {
  const header = headers['openstack-api-version'];
  for (const value of Array.isArray(header) ? header : (header?.split(',') ?? [])) {
    const [service, version] = value.trim().split(/\s+/);
    if (service?.toLowerCase() === 'placement' && version !== undefined) return version;
  }
  return undefined;
}

/** The microversion of a request, the minimum when it names none; or why it can't be served: 400 or 406. */
export function readMicroversion(headers: IncomingHttpHeaders): Microversion | ApiError {
  const text = asked(headers);
  if (text === undefined) return minimumVersion;
  if (text === 'latest') return maximumVersion;
  const match = /^([1-9]\d{0,4})\.(0|[1-9]\d{0,4})$/.exec(text);
  if (!match) return new InvalidError(`Invalid version string: ${text}.`);
  const [major, minor] = [Number(match[1]), Number(match[2])];
  if (major === minimumVersion.major && minor <= maximumVersion.minor) return { major, minor };
  return new ApiError(406, 'NotAcceptable', `Unacceptable version header: ${text}.`);
}

/** The same. @throws InvalidError, ApiError 406 */
export function parseMicroversion(headers: IncomingHttpHeaders): Microversion {
  const version = readMicroversion(headers);
  if (version instanceof ApiError) throw version;
  return version;
}

/** What every answer says about its version, errors included. */
export const microversionHeaders = (version: Microversion): Readonly<Record<string, string>> => ({
  'openstack-api-version': `placement ${versionText(version)}`,
  vary: 'OpenStack-API-Version',
});
