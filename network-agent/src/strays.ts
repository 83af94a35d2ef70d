// What no plan finds, because what led to it is gone: processes without files, flows without a bridge, files from before a power cut.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isUuid, type Exec } from '@cumulet/common';
import type { Desired } from './desired';
import { deadZonesOfFlows, directoriesOf, serverProcesses } from './inventory';
import { observeLinks } from './observe';
import { deleteFlows } from './routers';

/** Ends and removes it. What the desired state names is left alone. */
export async function removeStrays(exec: Exec, prefix: string, stateDir: string, desired: Desired): Promise<void> {
  const wanted = new Set([...desired.networks.keys(), ...desired.routers.keys()]);
  const strays = (await serverProcesses(stateDir)).filter(({ id }) => !wanted.has(id));
  for (const { pid } of strays) process.kill(pid, 'SIGTERM');
  for (const id of await directoriesOf(stateDir))
    if (isUuid(id) && !wanted.has(id)) await rm(join(stateDir, id), { recursive: true, force: true });
  const { links } = await observeLinks(exec, prefix);
  await deleteFlows(
    exec,
    (await deadZonesOfFlows(exec, links)).map((zone) => `-D -w ${zone}`),
  );
}
