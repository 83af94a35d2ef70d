// server.shelve and server.shelveOffload: the guest is shut down, its disk becomes an image, and nothing of it stays on the host.
import { PowerState, shelvedServers } from '../../db/entities/compute';
import { releaseClaims } from '../../db/repositories/claims';
import { nextDiskRevision } from '../../services/compute/migrations';
import { shelvedDisk } from '../../services/compute/shelvedImage';
import { done, fail, next, wait, type Step, type TaskKind } from '../task';
import { ASK_AGAIN, askDomain, prepare } from './serverCreate';
import { isSilent, unbind } from './serverElsewhere';
import { dropImage, flatten, isTidy, makeRoom, upload } from './serverImages';
import { bind } from './serverPower';
import { shutDown } from './serverResize';
import { hostOf, serverOf, setServer } from './serverState';
import { givesUp, removeRemains, stopDomain } from './serverTeardown';

/** Nobody waits for hours for a host that is dead. */
const unlessSilent =
  (step: Step): Step =>
  async (context) => {
    const result = await step(context);
    if (result.type !== 'wait') return result;
    const host = hostOf(await serverOf(context.cloud, context.task));
    if (!(await isSilent(context, host, ['compute', 'storage', 'network']))) return result;
    return fail({ code: 'host_silent', message: "The server's host does not answer." });
  };

const tidy: Step = async (context) =>
  (await isTidy(context)) ? next('shelved', { message: 'the image is all that is left of it' }) : wait(ASK_AGAIN);

/** From here on the image is enough to have the server back. */
const shelved: Step = async ({ cloud, task }) => {
  const { id } = await serverOf(cloud, task);
  const atOnce = cloud.config.shelved_offload_time === 0;
  const message = 'the server is off and its disk is kept as an image';
  const write = async (session: Parameters<typeof setServer>[0]): Promise<void> => {
    await session.update(shelvedServers, { server_id: id }, { waits_since: cloud.clock.now() });
    await setServer(session, cloud, id, {
      vm_state: 'shelved',
      power_state: PowerState.shutdown,
      task_state: atOnce ? 'shelving_offloading' : null,
      fault: null,
    });
  };
  return atOnce ? next('look', { message, write }) : done({ message, write });
};

/** What is on the host goes only while its image is there. */
const look: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const kept = await cloud.db.read((session) => shelvedDisk(session, server.id));
  if (kept) return next('domain', { facts: { kept } });
  return done({
    message: 'the image was deleted or deactivated: the server stays on its host',
    write: (session) => setServer(session, cloud, server.id, { task_state: null }),
  });
};

const offloaded: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const kept = task.state['kept'] as NonNullable<Awaited<ReturnType<typeof shelvedDisk>>>;
  return done({
    message: 'the server is on no host; its project keeps its quota and its addresses',
    write: async (session) => {
      await releaseClaims(session, server.id);
      await session.update(shelvedServers, { server_id: server.id }, { waits_since: null });
      await setServer(session, cloud, server.id, {
        host: null,
        vm_state: 'shelved_offloaded',
        power_state: PowerState.shutdown,
        task_state: null,
        // What its next disk is made of. It is still called the server's image, which its owner chose.
        image: server.image && { ...server.image, ...kept },
        disk_revision: await nextDiskRevision(session, server),
      });
    },
  });
};

const offload: TaskKind['steps'] = {
  look,
  domain: stopDomain('unbind'),
  unbind,
  vacate: removeRemains('offloaded'),
  offloaded,
};

export const serverShelve: TaskKind = {
  kind: 'server.shelve',
  first: 'bind',
  steps: {
    bind,
    prepare: unlessSilent(prepare('stop', 'shelving')),
    stop: unlessSilent(shutDown('room')),
    room: unlessSilent(makeRoom('flatten', 'shelving_image_pending_upload')),
    flatten: unlessSilent(flatten('shelving_image_uploading')),
    upload: unlessSilent(upload),
    tidy,
    shelved,
    ...offload,
  },
  onFail: { teardown: 'server.undoShelve' },
  onDelete: 'server.dropImageAndDelete',
};

export const serverOffload: TaskKind = {
  kind: 'server.shelveOffload',
  first: 'look',
  steps: offload,
  onFail: 'never',
  onDelete: 'server.delete',
};

/** One that is shelved by now stays so: what failed is only that it leaves its host, and that is tried again later. */
const begin: Step = async ({ cloud, task }) => {
  const { vm_state } = await serverOf(cloud, task);
  return next(vm_state === 'shelved' ? 'end' : 'image');
};

/** What ran runs again; the memory of one that slept is gone. */
const restart: Step = async (context) => {
  const { cloud, task } = context;
  const server = await serverOf(cloud, task);
  if (task.state['disk'] === undefined) return next('end', { message: 'the guest was not touched' });
  if (await givesUp(cloud, task, hostOf(server), 'compute'))
    return next('end', { message: 'the host does not say what the guest does' });
  const runs = task.params['was'] === 'active';
  if (!(await askDomain(context, server, runs ? 'running' : 'shutdown'))) return wait(ASK_AGAIN);
  return next('end', { facts: { found: runs ? 'active' : 'stopped' } });
};

const end: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  const { found } = task.state;
  return done({
    write: async (session) => {
      if (server.vm_state !== 'shelved') await session.delete(shelvedServers, { server_id: server.id });
      await setServer(session, cloud, server.id, {
        task_state: null,
        ...(found === 'active' ? { vm_state: 'active', power_state: PowerState.running } : {}),
        ...(found === 'stopped' ? { vm_state: 'stopped', power_state: PowerState.shutdown } : {}),
      });
    },
  });
};

/** After a failure: the image goes, and the server is what it was. */
export const serverUndoShelve: TaskKind = {
  kind: 'server.undoShelve',
  first: 'begin',
  steps: {
    begin,
    image: dropImage('tidy', ['queued', 'saving', 'active']),
    tidy: async (context) => ((await isTidy(context)) ? next('restart') : wait(ASK_AGAIN)),
    restart,
    end,
  },
  onFail: 'never',
  onDelete: 'server.dropImageAndDelete',
};
