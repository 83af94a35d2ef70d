// What --check-config of a controller looks at beyond the file itself: the files it names, and whether they fit the database.
import { accessSync, constants } from 'node:fs';
import { checkBroker, ConfigError, messageOf, readTls } from '@cumulet/common';
import { databaseOptions } from './databaseConfig';
import { inspectDatabase } from './db';
import { cloudFacts } from './db/entities/cloud';
import { tokenKeys } from './db/entities/identity';
import { rulesOf } from './policyRules';
import type { ControllerProcessConfig } from './process';
import { checkRemoteApi } from './remoteApi/check';
import { keyFilePath } from './services/identity/identity';
import { readKeyFile } from './services/identity/keyFile';
import { requireFittingKeyFile } from './services/identity/signingKeys';
import { imageDirectory, requireFittingStore } from './services/image/directory';
import { createPolicy } from './services/policy/policy';

/** What a server answers that another password or name would change. */
const REFUSED = ['ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR', 'ER_BAD_DB_ERROR'];

/** One that is named by its path must be a program now: when it is needed, a host is dead. @throws ConfigError */
function requireFenceCommand({ fence_command }: ControllerProcessConfig): void {
  const [program = ''] = fence_command ?? [];
  if (!program.includes('/')) return;
  try {
    accessSync(program, constants.X_OK);
  } catch (error) {
    throw new ConfigError(`fence_command: ${messageOf(error)}`, { key: 'fence_command' });
  }
}

/** Changes nothing, neither files nor the database. Returns what could not be looked at. @throws ConfigError */
export async function checkController(config: ControllerProcessConfig): Promise<readonly string[]> {
  createPolicy(rulesOf(config));
  requireFenceCommand(config);
  readTls(config.agent_api.tls);
  checkBroker(config.broker);
  const notes = await checkRemoteApi(config);
  const options = databaseOptions(config);
  const keyFile = keyFilePath(config);
  readKeyFile(keyFile);
  try {
    await inspectDatabase(options, [tokenKeys], (session) => requireFittingKeyFile(session, keyFile));
    await inspectDatabase(options, [cloudFacts], (session) => requireFittingStore(session, { config }));
    return notes;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (REFUSED.includes((error as { code?: string }).code ?? ''))
      throw new ConfigError(`database: ${messageOf(error)}`, { key: 'database' });
    const what = `the key file ${keyFile} and the directory ${imageDirectory({ config })} fit the database`;
    return [...notes, `not checked: whether ${what}, because it is not reached: ${messageOf(error)}`];
  }
}
