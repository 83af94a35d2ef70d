// The hosts' contract: a server's disk becomes an image, while its guest runs or is off.
import { CumuletError, newId, type ServerEnsure } from '@cumulet/common';
import { done, failed, type ContractScene } from './scene';

const QCOW2 = 'QFI\xfb';

/** Declares the tests. */
export function snapshotContract(scene: ContractScene): void {
  let image: string;
  const run = (step: 'prepare' | 'flatten' | 'upload' | 'remove', { server_id }: ServerEnsure, revision = 1) =>
    scene.controller.run(`snapshot.${step}`, server_id, {
      server_id,
      image_id: image,
      revision,
      base_format: 'raw',
    });
  const copy = ({ server_id }: ServerEnsure, path: string | null) =>
    scene.controller.run('disk.copy', server_id, { server_id, path });
  const stored = (): string | undefined => scene.controller.api.stored.get(image)?.subarray(0, 4).toString('latin1');
  /** Where the copy belongs. */
  const room = async (server: ServerEnsure): Promise<string> => {
    const answer = await run('prepare', server);
    expect(answer).toMatchObject(done({ path: expect.any(String) }));
    return String(answer.observed['path']);
  };
  beforeEach(() => {
    image = newId();
  });

  test('of a server that is off: it needs no copy, is flattened, stored and removed, each as often as it is asked', async () => {
    const server = await scene.boot({ power: 'shutdown' });
    expect(await copy(server, await room(server))).toMatchObject(done({ copied: false }));
    for (let i = 0; i < 2; i++) expect(await run('flatten', server)).toMatchObject(done());
    for (let i = 0; i < 2; i++) expect(await run('upload', server)).toMatchObject(done());
    expect(stored()).toBe(QCOW2);
    for (let i = 0; i < 2; i++) expect(await run('remove', server)).toMatchObject(done());
    expect(await run('upload', server)).toMatchObject(failed('upload_failed', true));
  });

  test('of a server that runs: its disk is copied, not flattened', async () => {
    const server = await scene.boot();
    const path = await room(server);
    expect(await run('flatten', server)).toMatchObject(failed('snapshot_failed', true));
    for (let i = 0; i < 2; i++) expect(await copy(server, path)).toMatchObject(done({ copied: true }));
    expect(await copy(server, null)).toMatchObject(done({ copied: false }));
    expect(await run('flatten', server)).toMatchObject(done());
    expect(await run('upload', server)).toMatchObject(done());
    expect(stored()).toBe(QCOW2);
    // A disk stands still while the memory of its guest is saved.
    await scene.ensure({ ...server, power: 'suspended' });
    image = newId();
    expect(await copy(server, await room(server))).toMatchObject(done({ copied: false }));
    expect(await run('flatten', server)).toMatchObject(done());
  });

  test('of a disk that is not there there is none', async () => {
    const server = await scene.prepare();
    expect(await run('prepare', server, 2)).toMatchObject(failed('snapshot_failed', true));
    expect(await run('flatten', server, 2)).toMatchObject(failed('snapshot_failed', true));
  });

  test('an image that will never take it ends it, anything else is worth another try', async () => {
    const server = await scene.prepare();
    await run('flatten', server);
    const { api } = scene.controller;
    const storeImage = api.storeImage.bind(api);
    try {
      api.storeImage = () => Promise.reject(new CumuletError('unreachable', 'no controller answers'));
      expect(await run('upload', server)).toMatchObject(failed('upload_failed', true));
      api.storeImage = () => Promise.reject(new CumuletError('image_refused', 'nobody wants it'));
      expect(await run('upload', server)).toMatchObject(failed('image_refused', false));
    } finally {
      api.storeImage = storeImage;
    }
  });
}
