// What --check-config looks at about the API for other machines: the address and the certificate's files.
import { ConfigError } from '@cumulet/common';
import type { ControllerConfig } from '../config';
import { resolveAddress } from './address';
import { givenCertificate, timeProblem } from './certificate';

/** Changes nothing. Returns what is worth a warning. @throws ConfigError in words */
export async function checkRemoteApi({ remote_api }: Pick<ControllerConfig, 'remote_api'>): Promise<readonly string[]> {
  if (remote_api === null) return [];
  await resolveAddress(remote_api.address);
  const given = givenCertificate(remote_api);
  const problem = given && timeProblem(given.cert, Date.now());
  if (problem === undefined) return [];
  const words = `remote_api.cert: the certificate in ${remote_api.cert}: ${problem}`;
  // One that ends later still works today.
  if (problem.startsWith('it expires')) return [words];
  throw new ConfigError(words, { key: 'remote_api.cert' });
}
