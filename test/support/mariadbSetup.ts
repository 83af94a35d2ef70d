// Before the tests of the project `mariadb`: one server for all of them.
import { startMariadb, type MariadbServer } from './mariadb';

declare global {
  var testMariadb: MariadbServer | undefined;
}

export default async function setup(): Promise<void> {
  globalThis.testMariadb = await startMariadb();
  process.env['CUMULET_TEST_MARIADB'] = globalThis.testMariadb.url;
}
