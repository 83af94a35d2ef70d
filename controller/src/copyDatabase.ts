// What --copy-database of a controller does: moves the cloud from the SQLite file to the MariaDB that its configuration names.
import { join } from 'node:path';
import { ConfigError } from '@cumulet/common';
import type { ControllerConfig } from './config';
import { databaseOptions } from './databaseConfig';
import { copyDatabase } from './db';

type Config = Pick<ControllerConfig, 'database' | 'data_dir' | 'durable'>;

export const copyToMariadb = {
  help: 'copy the cloud from the SQLite file (database.path) into the empty MariaDB of this configuration, and exit',
  /** @throws ConfigError when the configuration, the file or the database does not allow it */
  async run(config: Config): Promise<string> {
    const to = databaseOptions(config);
    if (to.kind !== 'mariadb')
      throw new ConfigError('database.kind: must be mariadb, where the cloud is copied to', { key: 'database.kind' });
    const path = config.database.path ?? join(config.data_dir, 'cumulet.db');
    const counts = await copyDatabase({ kind: 'sqlite', path }, to);
    const rows = [...counts.values()].reduce((sum, count) => sum + count, 0);
    return `${rows} rows of ${counts.size} tables were copied from ${path} and counted in ${to.database}`;
  },
};
