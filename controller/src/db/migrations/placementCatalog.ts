// Clouds that are in use get the placement service in their catalog; new ones are made with it.
import { randomUUID } from 'node:crypto';
import type { QueryRunner } from 'typeorm';
import { migration, type MigrationStep } from './migration';

const idOf = async (runner: QueryRunner, type: string): Promise<string | undefined> => {
  const rows = (await runner.query('SELECT id FROM catalog_service WHERE type = ?', [type])) as { id: string }[];
  return rows[0]?.id;
};
const newId = (): string => randomUUID().replaceAll('-', '');

/** Beside identity's endpoints, in their regions. Each statement alone may be the last one of a try that was cut off. */
const addPlacement: MigrationStep = {
  async up(runner) {
    const identity = await idOf(runner, 'identity');
    if (identity === undefined) return;
    const id = (await idOf(runner, 'placement')) ?? newId();
    const service = [id, 'placement', 'placement', 1, '{}'];
    if ((await idOf(runner, 'placement')) === undefined)
      await runner.query(
        'INSERT INTO catalog_service (id, type, name, enabled, extra) VALUES (?, ?, ?, ?, ?)',
        service,
      );
    const known = (await runner.query('SELECT id FROM catalog_endpoint WHERE service_id = ?', [id])) as unknown[];
    const beside = (await runner.query('SELECT interface, region_id FROM catalog_endpoint WHERE service_id = ?', [
      identity,
    ])) as { interface: string; region_id: string | null }[];
    if (known.length > 0 || beside.length === 0) return;
    const rows = beside.map((one) => [newId(), id, one.interface, one.region_id, '/placement', 1, '{}']);
    await runner.query(
      `INSERT INTO catalog_endpoint (id, service_id, interface, region_id, url, enabled, extra) VALUES ${rows
        .map(() => '(?, ?, ?, ?, ?, ?, ?)')
        .join(', ')}`,
      rows.flat(),
    );
  },
  async down(runner) {
    const id = await idOf(runner, 'placement');
    if (id === undefined) return;
    await runner.query('DELETE FROM catalog_endpoint WHERE service_id = ?', [id]);
    await runner.query('DELETE FROM catalog_service WHERE id = ?', [id]);
  },
};

export const PlacementCatalog = migration('PlacementCatalog1795760000000', [addPlacement]);
