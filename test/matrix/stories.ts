// How a task of each kind comes about on one host, by requests of a client.
import type { RetryingClient } from '../support/retryingClient';
import type { Content } from '../support/realCloud';

export interface Scene {
  readonly client: RetryingClient;
  readonly content: Content;
  /** A flavor that differs from the content's. */
  readonly otherFlavor: string;
}

/** A request that begins something; returns the server it is about. */
type Act = (scene: Scene, id: string) => Promise<string>;

export interface Story {
  /** What has ended before the fault. */
  readonly before: readonly Act[];
  /** What begins the task. */
  readonly act: Act;
  /** The server's status when it went well; undefined when it is gone. */
  readonly end: string | undefined;
}

const create: Act = async ({ client, content }) => {
  const { body } = await client.must('POST', '/compute/v2.1/servers', {
    server: {
      name: 'crash',
      imageRef: content.image,
      flavorRef: content.flavor,
      networks: [{ uuid: content.network }],
    },
  });
  return body.server.id as string;
};

/** A first try whose connection was lost may have been carried out: then the second is a conflict. */
async function insist(client: RetryingClient, method: string, path: string, body?: unknown): Promise<void> {
  const { status, repeated, body: answer } = await client.call(method, path, body);
  if (status >= 400 && !(repeated && [400, 404, 409].includes(status)))
    throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
}

const action =
  (name: string, value: (scene: Scene) => unknown = () => null): Act =>
  async (scene, id) => {
    await insist(scene.client, 'POST', `/compute/v2.1/servers/${id}/action`, { [name]: value(scene) });
    return id;
  };

export const remove: Act = async ({ client }, id) => {
  await insist(client, 'DELETE', `/compute/v2.1/servers/${id}`);
  return id;
};

const attach: Act = async ({ client }, id) => {
  await insist(client, 'POST', `/compute/v2.1/servers/${id}/os-interface`, {});
  return id;
};

const detach: Act = async ({ client }, id) => {
  const path = `/compute/v2.1/servers/${id}/os-interface`;
  const { body } = await client.must('GET', path);
  const last = (body.interfaceAttachments as { port_id: string }[]).at(-1);
  await insist(client, 'DELETE', `${path}/${last?.port_id}`);
  return id;
};

const resize = action('resize', ({ otherFlavor }) => ({ flavorRef: otherFlavor }));
const stop = action('os-stop');
const pauseIt = action('pause');
const suspend = action('suspend');

/** Begins from a server that runs, after what comes before. */
const story = (before: readonly Act[], act: Act, end: string | undefined): Story => ({
  before: [create, ...before],
  act,
  end,
});

/** Steps that come only when a server is tried on another host, or when its host can't be asked. */
export const ELSEWHERE: ReadonlySet<string> = new Set([
  ...['leave', 'unbind', 'vacate', 'release'].map((step) => `server.create.${step}`),
  'server.revertResize.strand',
]);

/** By task kind. Kinds that need a second host, or a host that refuses, run against simulated hosts (test/crash/everyFault.ts). */
export const stories: Readonly<Record<string, Story>> = {
  'server.create': { before: [], act: create, end: 'ACTIVE' },
  'server.delete': story([], remove, undefined),
  'server.stop': story([], stop, 'SHUTOFF'),
  'server.start': story([stop], action('os-start'), 'ACTIVE'),
  'server.reboot': story(
    [],
    action('reboot', () => ({ type: 'HARD' })),
    'ACTIVE',
  ),
  'server.pause': story([], pauseIt, 'PAUSED'),
  'server.unpause': story([pauseIt], action('unpause'), 'ACTIVE'),
  'server.suspend': story([], suspend, 'SUSPENDED'),
  'server.resume': story([suspend], action('resume'), 'ACTIVE'),
  'server.rebuild': story(
    [],
    action('rebuild', ({ content }) => ({ imageRef: content.image })),
    'ACTIVE',
  ),
  'server.attachInterface': story([], attach, 'ACTIVE'),
  // Of a server that is off: a guest that does nothing lets no interface go.
  'server.detachInterface': story([attach, stop], detach, 'SHUTOFF'),
  'server.createImage': story(
    [],
    action('createImage', () => ({ name: 'copy' })),
    'ACTIVE',
  ),
  'server.resize': story([], resize, 'VERIFY_RESIZE'),
  'server.confirmResize': story([resize], action('confirmResize'), 'ACTIVE'),
  'server.revertResize': story([resize], action('revertResize'), 'ACTIVE'),
};
