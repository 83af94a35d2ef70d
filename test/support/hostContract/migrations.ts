// The hosts' contract: a server goes from host to host while it runs, or stays where it is, and both say which.
import { newId, type Reply, type ServerEnsure } from '@cumulet/common';
import { done, failed, type ContractScene, type Subject } from './scene';

/** Declares the tests. `other` is where servers go. */
export function migrationContract(scene: ContractScene, other: () => Subject): void {
  const of = ({ server_id }: ServerEnsure, migration: string) => ({ server_id, migration_id: migration });
  const send = (server: ServerEnsure, migration: string): Promise<Reply> => {
    const to = { host: other().controller.host, address: other().host.address };
    const how = { to, shared_disk: false, auto_converge: true, bandwidth: 0 };
    return scene.controller.run('migration.send', server.server_id, { ...of(server, migration), ...how });
  };
  const ask = async (kind: 'migration.abort' | 'migration.force', server: ServerEnsure, migration: string) =>
    scene.controller.run(kind, server.server_id, of(server, migration));
  const conclude = (server: ServerEnsure, migration: string): Promise<Reply> =>
    other().controller.run('migration.conclude', server.server_id, of(server, migration));

  /** Makes all of a server on the other host but its guest. */
  const makeThere = async (server: ServerEnsure): Promise<ServerEnsure> => {
    const { controller } = other();
    const { server_id: id } = server;
    controller.api.images.set(scene.image.digest, scene.controller.api.images.get(scene.image.digest) ?? Buffer.of());
    const sequence = controller.change(scene.objectsOf(server));
    const body = { server_id: id, image: scene.image, size: 2 ** 30, revision: 1 };
    const disk = await controller.run('disk.ensure', id, body);
    const ports = { port_ids: [scene.portOf(server).id], sequence, until: 'wired' as const };
    expect(await controller.run('ports.ensure', id, ports)).toMatchObject(done());
    return { ...server, disk: disk.observed as ServerEnsure['disk'] };
  };
  const removeThere = async (server: ServerEnsure): Promise<void> => {
    const { controller } = other();
    const { server_id: id } = server;
    await controller.run('server.remove', id, { server_id: id }, { generation: 99 });
    await controller.run('disk.remove', id, { server_id: id }, { generation: 99 });
    controller.change([], scene.objectsOf(server));
    await controller.hint();
  };

  test('a server goes to the host that expects it, once, and waits where it was to be removed', async () => {
    const server = await scene.boot();
    const there = await makeThere(server);
    const expectThere = (migration: string): Promise<Reply> => {
      const body = { migration_id: migration, from: scene.controller.host, server: there, shared_disk: false };
      return other().controller.run('migration.expect', server.server_id, body);
    };
    const here = (): Promise<Reply> => scene.ensure({ ...server, power: 'unchanged' });
    try {
      const [unexpected, concluded, good] = [newId(), newId(), newId()];
      await expectThere(concluded);
      for (let i = 0; i < 2; i++) expect((await conclude(server, concluded)).observed).toEqual({ outcome: 'refused' });
      // Of what it never expected, or has forgotten, it does not know what became.
      expect((await conclude(server, newId())).observed).toEqual({ outcome: 'refused', may_have_run: true });
      for (const migration of [unexpected, concluded]) {
        expect(await send(server, migration)).toMatchObject(failed('migration_refused', false));
        expect(await ask('migration.abort', server, migration)).toMatchObject(done({ outcome: 'stayed' }));
      }
      expect(await here()).toMatchObject(done({ power: 'running' }));
      await expectThere(good);
      for (let i = 0; i < 2; i++) expect(await send(server, good)).toMatchObject(done());
      for (let i = 0; i < 2; i++) expect(await conclude(server, good)).toMatchObject(done({ outcome: 'moved' }));
      expect(await ask('migration.abort', server, good)).toMatchObject(done({ outcome: 'moved' }));
      expect(await here()).toMatchObject(done({ power: 'paused' }));
      expect(await scene.remove(server.server_id)).toMatchObject(done());
      const left = await other().controller.run('server.ensure', server.server_id, { ...there, power: 'unchanged' });
      expect(left).toMatchObject(done({ power: 'running' }));
    } finally {
      await removeThere(server);
    }
  });

  test('a server that does not run is not sent; a migration that nobody knows of is judged by what its guest does', async () => {
    const server = await scene.boot();
    const outcomes = async (): Promise<unknown[]> => {
      const migration = newId();
      const kinds = ['migration.abort', 'migration.conclude'] as const;
      const found: unknown[] = [];
      for (const kind of kinds)
        found.push((await scene.controller.run(kind, server.server_id, of(server, migration))).observed['outcome']);
      return found;
    };
    expect(await ask('migration.force', server, newId())).toMatchObject(done());
    expect(await outcomes()).toEqual(['stayed', 'moved']);
    await scene.ensure({ ...server, power: 'paused' });
    expect(await outcomes()).toEqual(['unknown', 'moved']);
    await scene.ensure({ ...server, power: 'shutdown' });
    expect(await outcomes()).toEqual(['unknown', 'refused']);
    const migration = newId();
    expect(await send(server, migration)).toMatchObject(failed('not_running', false));
    for (let i = 0; i < 2; i++)
      expect(await ask('migration.abort', server, migration)).toMatchObject(done({ outcome: 'stayed' }));
    expect(await send(server, migration)).toMatchObject(failed('already_over', false));
    await scene.remove(server.server_id, 1);
    expect(await outcomes()).toEqual(['unknown', 'refused']);
  });

  test('one that is expected and has not come never comes once that is concluded', async () => {
    const server = await scene.prepare();
    const { server_id: id } = server;
    const migration = { server_id: id, migration_id: newId() };
    const expected = { migration_id: migration.migration_id, from: 'h2', server, shared_disk: false };
    for (let i = 0; i < 2; i++)
      expect(await scene.controller.run('migration.expect', id, expected)).toMatchObject(done());
    for (let i = 0; i < 2; i++)
      expect(await scene.controller.run('migration.conclude', id, migration)).toMatchObject(
        done({ outcome: 'refused' }),
      );
    expect(await scene.kindsOf(id)).not.toContain('domain');
  });
}
