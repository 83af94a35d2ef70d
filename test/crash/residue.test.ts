// A host that can not remove a deleted server: the server is gone for its owner, and the host removes it when it can again.
import { HostError } from '@cumulet/common';
import { residues } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
afterEach(() => world.stop());

test('what a host could not remove is written down, and removed when its agent registers again', async () => {
  world = await startCloudWithHost();
  await world.startEngine();
  const id = await world.boot();
  await world.settled();
  world.host.before = (kind) => {
    if (kind === 'server.remove')
      throw new HostError('hypervisor_away', 'the hypervisor does not answer', { retryable: true });
  };
  expect((await world.test.call('DELETE', `/compute/v2.1/servers/${id}`)).status).toBe(204);
  await world.settled();
  expect((await world.test.call('GET', `/compute/v2.1/servers/${id}`)).status).toBe(404);
  expect([...world.host.domains.keys()]).toEqual([id]);
  const { body } = await world.test.call('GET', '/cumulet/v1/audit', { token: 'admin' });
  expect(body.clean).toBe(false);
  // Time passes: the next heartbeat is answered with "register again".
  await world.test.cloud.db.write((session) => session.update(residues, { resource_id: id }, { created_at: 0 }));
  for (let tries = 0; world.host.domains.size > 0 && tries < 300; tries++)
    await new Promise((next) => setTimeout(next, 20));
  await new Promise((next) => setTimeout(next, 500));
  await world.expectClean();
});
