// An image of a server: its disk becomes one flat file on its host, which the image service takes. The server runs on.
import type { Cloud } from '../../cloud';
import { spareBackups, type ServerImageRequest } from '../../services/compute/serverImages';
import { removeImage } from '../../services/image/delete';
import type { Server, TaskState } from '../../db/entities/compute';
import type { Task } from '../../db/entities/tasks';
import { done, next, wait, type Step, type StepContext, type StepResult, type TaskKind } from '../task';
import { ASK_AGAIN } from './serverCreate';
import { diskOf, serverOf, setServer, targetOf } from './serverState';
import { givesUp, serverDelete } from './serverTeardown';

const imageOf = (task: Task): string => String(task.params['image_id']);

function snapshotOf(server: Server, task: Task) {
  const { image, revision } = diskOf(server);
  return { server_id: server.id, image_id: imageOf(task), revision, base_format: image.format };
}

const idle = (cloud: Cloud, server: Server): StepResult =>
  done({
    message: 'nothing of it is left on the host',
    write: (session) => setServer(session, cloud, server.id, { task_state: null }),
  });

/** Looks for room on the host. `during`: how the server shows what comes next; absent: as before. */
export const makeRoom =
  (then: string, during?: TaskState): Step =>
  async ({ cloud, task, ask }) => {
    const server = await serverOf(cloud, task);
    const room = await ask('snapshot.prepare', targetOf(server), snapshotOf(server, task));
    if (!room) return wait(ASK_AGAIN);
    return next(then, {
      facts: { path: room['path'] },
      message: 'the host has room for the snapshot',
      ...(during === undefined
        ? {}
        : { write: (session) => setServer(session, cloud, server.id, { task_state: during }) }),
    });
  };

/** As it is at one moment: QEMU copies a running guest's disk, the disk of one that is off stands still. */
const copy: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const body = { server_id: server.id, path: String(task.state['path']) };
  const answer = await ask('disk.copy', targetOf(server), body);
  if (!answer) return wait(ASK_AGAIN);
  return next('flatten', {
    message:
      answer['copied'] === true
        ? 'the disk of the running guest is copied'
        : 'the server is off: its disk stands still',
    write: (session) => setServer(session, cloud, server.id, { task_state: 'image_pending_upload' }),
  });
};

/** Makes one file of the disk and what it stands on. */
export const flatten =
  (during: TaskState): Step =>
  async ({ cloud, task, ask }) => {
    const server = await serverOf(cloud, task);
    const flat = await ask('snapshot.flatten', targetOf(server), snapshotOf(server, task));
    if (!flat) return wait(ASK_AGAIN);
    return next('upload', {
      message: 'the snapshot is one file',
      write: (session) => setServer(session, cloud, server.id, { task_state: during }),
    });
  };

export const upload: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const stored = await ask('snapshot.upload', targetOf(server), snapshotOf(server, task));
  const then = task.params['backup'] ? 'rotate' : 'tidy';
  return stored ? next(then, { message: 'the image has the bytes' }) : wait(ASK_AGAIN);
};

const rotate: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const backup = task.params['backup'] as NonNullable<ServerImageRequest['backup']>;
  const spare = await cloud.db.read((session) => spareBackups(session, server, backup));
  for (const id of spare) await removeImage(cloud, id, ['active']);
  return next('tidy', { message: `${spare.length} older backups are deleted` });
};

/**
 * What is left on the host goes; an agent that is away finds it when the disk is next looked at.
 * @returns whether nothing is left
 */
export async function isTidy({ cloud, task, ask }: StepContext): Promise<boolean> {
  const server = await serverOf(cloud, task);
  const { host } = server;
  if (host === null) return true;
  const target = targetOf(server, host);
  const stopped =
    (await givesUp(cloud, task, host, 'compute')) ||
    (await ask('disk.copy', target, { server_id: server.id, path: null }));
  const removed =
    (await givesUp(cloud, task, host, 'storage')) || (await ask('snapshot.remove', target, snapshotOf(server, task)));
  return Boolean(stopped && removed);
}

const tidy: Step = async (context) => {
  const { cloud, task } = context;
  return (await isTidy(context)) ? idle(cloud, await serverOf(cloud, task)) : wait(ASK_AGAIN);
};

/** An image that never got its bytes is no use to anybody. */
export const dropImage =
  (then: string, statuses: readonly string[] = ['queued', 'saving']): Step =>
  async ({ cloud, task }) => {
    await removeImage(cloud, imageOf(task), statuses);
    return next(then, { message: 'an image that nobody needs is deleted' });
  };

const steps = { prepare: makeRoom('copy'), copy, flatten: flatten('image_uploading'), upload, tidy };
const kind = (name: string, more: TaskKind['steps'] = {}): TaskKind => ({
  kind: name,
  first: 'prepare',
  steps: { ...steps, ...more },
  onFail: { teardown: 'server.dropImage' },
  onDelete: 'server.dropImageAndDelete',
});

const dropImageKind: TaskKind = {
  kind: 'server.dropImage',
  first: 'image',
  steps: { image: dropImage('tidy'), tidy },
  onFail: 'never',
  onDelete: 'server.dropImageAndDelete',
};

/** The delete of a server whose image is being made; the file on the host goes with the server's disk. */
const dropImageAndDelete: TaskKind = {
  ...serverDelete,
  kind: 'server.dropImageAndDelete',
  first: 'image',
  steps: { image: dropImage(serverDelete.first), ...serverDelete.steps },
};

export const serverImageKinds: readonly TaskKind[] = [
  kind('server.createImage'),
  kind('server.createBackup', { rotate }),
  dropImageKind,
  dropImageAndDelete,
];
