// A host that can not remove a deleted server: the server is gone for its owner, and the host removes it when it can again.
import { HostError } from '@cumulet/common';
import { residues } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
/** Until the next heartbeat is answered with "register again", and the host has looked at everything. */
async function outlive(id: string): Promise<void> {
  await world.test.cloud.db.write((session) => session.update(residues, { resource_id: id }, { created_at: 0 }));
  const left = () => world.test.cloud.db.read((session) => session.count(residues, { resource_id: id }));
  for (let tries = 0; (await left()) > 0 && tries < 300; tries++) await new Promise((next) => setTimeout(next, 20));
}
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
  expect(body.findings).toContainEqual(
    expect.objectContaining({ kind: 'domain', id, remedy: 'a fix has the agent of its host remove it' }),
  );
  world.host.before = () => undefined;
  const fixed = await world.test.call('POST', '/cumulet/v1/audit/fix', { token: 'admin' });
  expect([fixed.status, fixed.body.clean]).toEqual([200, true]);
  expect(fixed.body.fixed.map(({ kind }: { kind: string }) => kind)).toContain('domain');
  expect(world.host.domains.size).toBe(0);
  await world.expectClean();
});

test('an interface that the guest neither takes nor gives back is given up, and its port is gone', async () => {
  world = await startCloudWithHost();
  await world.startEngine();
  const id = await world.boot();
  await world.settled();
  world.host.before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('no_answer', 'the guest does not listen', { retryable: false });
  };
  const path = `/compute/v2.1/servers/${id}`;
  expect((await world.test.call('POST', `${path}/os-interface`, { body: {} })).status).toBe(500);
  await world.settled();
  const { interfaceAttachments } = (await world.test.call('GET', `${path}/os-interface`)).body;
  world.host.before = () => undefined;
  expect([interfaceAttachments.length, (await world.test.call('GET', path)).body.server.status]).toEqual([1, 'ACTIVE']);
  const timeline = (await world.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body;
  const steps = timeline.tasks.flatMap((task: { steps: { message: string }[] }) => task.steps);
  expect(steps.map(({ message }: { message: string }) => message)).toContain(
    'the interface could not be taken from the guest; it is dead, and gone when the guest starts anew',
  );
  await outlive(id);
  await world.expectClean();
});
