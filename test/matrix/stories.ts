// How a task of each kind comes about on two hosts, by requests of a client and by what a host refuses.
import type { RetryingClient } from '../support/retryingClient';
import type { Content } from '../support/realCloud';
import type { Refusal } from './director';

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
  /** What the hosts of the server refuse meanwhile. */
  readonly refusals: readonly Refusal[];
  /** The server's host loses its power after what comes before. */
  readonly loses?: true;
  /** The server's status when it went well; undefined when it is gone. */
  readonly end: string | undefined;
}

const createOn =
  (zone?: string): Act =>
  async ({ client, content }) => {
    const { body } = await client.must('POST', '/compute/v2.1/servers', {
      server: {
        name: 'crash',
        imageRef: content.image,
        flavorRef: content.flavor,
        networks: [{ uuid: content.network }],
        ...(zone === undefined ? {} : { availability_zone: zone }),
      },
    });
    return body.server.id as string;
  };
const create = createOn();

/** A first try whose connection was lost may have been carried out: then the second is a conflict. `also` is as good as success. */
async function insist(
  client: RetryingClient,
  method: string,
  path: string,
  body?: unknown,
  also: readonly number[] = [],
): Promise<void> {
  const { status, repeated, body: answer } = await client.call(method, path, body);
  const allowed = [...also, ...(repeated ? [400, 404, 409] : [])];
  if (status >= 400 && !allowed.includes(status))
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

const attachment = (id: string): string => `/compute/v2.1/servers/${id}/os-interface`;
const attach: Act = async ({ client }, id) => {
  await insist(client, 'POST', attachment(id), {});
  return id;
};
/** The answer waits for the card, which the host refuses. */
const attachInVain: Act = async ({ client }, id) => {
  await insist(client, 'POST', attachment(id), {}, [500]);
  return id;
};
const detach: Act = async ({ client }, id) => {
  const { body } = await client.must('GET', attachment(id));
  const last = (body.interfaceAttachments as { port_id: string }[]).at(-1);
  await insist(client, 'DELETE', `${attachment(id)}/${last?.port_id}`);
  return id;
};

const resize = action('resize', ({ otherFlavor }) => ({ flavorRef: otherFlavor }));
const migrate = action('migrate');
const stop = action('os-stop');
const pauseIt = action('pause');
const suspend = action('suspend');
const createImage = action('createImage', () => ({ name: 'copy' }));
const createBackup = action('createBackup', () => ({ name: 'copy', backup_type: 'daily', rotation: 1 }));
const shelve = action('shelve');
const offload = action('shelveOffload');
const unshelve = action('unshelve');
const liveMigrate = action('os-migrateLive', () => ({ host: null, block_migration: true, disk_over_commit: false }));

/** Begins from a server that runs, after what comes before. */
const story = (
  before: readonly Act[],
  act: Act,
  end: string | undefined,
  refusals: readonly Refusal[] = [],
): Story => ({
  before: [create, ...before],
  act,
  end,
  refusals,
});

const refuses = (at: string, command: string, more: Partial<Refusal> = {}): Refusal[] => [
  { at, command, times: 1, code: 'refused', point: 'command', ...more },
];

const fails = story([], liveMigrate, 'ACTIVE', refuses('server.liveMigrate.send', 'migration.send'));
/** The server has gone, but its old host can't say so. */
const goesUnheard = story(
  [],
  liveMigrate,
  'ACTIVE',
  refuses('server.liveMigrate.send', 'migration.send', { point: 'carried', code: 'outcome_unknown' }),
);
const fromElsewhere: Story = {
  before: [],
  act: create,
  end: 'ACTIVE',
  refusals: refuses('server.create.spawn', 'server.ensure'),
};

const unshelved = refuses('server.unshelve.spawn', 'server.ensure', { times: Infinity });
const unshelvedElsewhere = story(
  [shelve, offload],
  unshelve,
  'ACTIVE',
  refuses('server.unshelve.spawn', 'server.ensure'),
);

/** Steps of what tries another host. */
const LEAVING = ['leave', 'unbind', 'vacate', 'release'];

/** By task kind. */
const stories: Readonly<Record<string, Story>> = {
  'server.create': { before: [], act: create, end: 'ACTIVE', refusals: [] },
  'server.delete': story([], remove, undefined),
  'server.cleanup': {
    before: [],
    act: create,
    end: 'ERROR',
    refusals: refuses('server.create.spawn', 'server.ensure', { times: Infinity }),
  },
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
  'server.takeInterfaceBack': story(
    [stop],
    attachInVain,
    'SHUTOFF',
    refuses('server.attachInterface.plug', 'server.ensure'),
  ),
  'server.createImage': story([], createImage, 'ACTIVE'),
  'server.createBackup': story([createBackup], createBackup, 'ACTIVE'),
  'server.dropImage': story([], createImage, 'ACTIVE', refuses('server.createImage.upload', 'snapshot.upload')),
  'server.dropImageAndDelete': story([], async (scene, id) => remove(scene, await createImage(scene, id)), undefined),
  'server.resize': story([], resize, 'VERIFY_RESIZE'),
  'server.migrate': story([], migrate, 'VERIFY_RESIZE'),
  'server.confirmResize': story([migrate], action('confirmResize'), 'ACTIVE'),
  'server.revertResize': story([migrate], action('revertResize'), 'ACTIVE'),
  'server.undoResize': story([], migrate, 'ACTIVE', refuses('server.migrate.spawn', 'server.ensure')),
  'server.shelve': story([], shelve, 'SHELVED'),
  'server.shelveOffload': story([shelve], offload, 'SHELVED_OFFLOADED'),
  'server.undoShelve': story([], shelve, 'ACTIVE', refuses('server.shelve.upload', 'snapshot.upload')),
  'server.unshelve': story([shelve, offload], unshelve, 'ACTIVE'),
  'server.undoUnshelve': story([shelve, offload], unshelve, 'SHELVED_OFFLOADED', unshelved),
  'server.evacuate': {
    before: [createOn('nova:host-1')],
    act: action('evacuate', () => ({ onSharedStorage: false })),
    end: 'ACTIVE',
    refusals: [],
    loses: true,
  },
  'server.liveMigrate': story([], liveMigrate, 'ACTIVE'),
  'server.undoLiveMigration': fails,
};

/** Steps that come only when something else goes wrong too. */
const others: Readonly<Record<string, Story>> = {
  ...Object.fromEntries(LEAVING.map((step) => [`server.create.${step}`, fromElsewhere])),
  ...Object.fromEntries(LEAVING.map((step) => [`server.unshelve.${step}`, unshelvedElsewhere])),
  'server.undoUnshelve.stop': story([shelve], unshelve, 'SHELVED', unshelved),
  'server.liveMigrate.refuse': fails,
  ...Object.fromEntries(
    ['decide', 'land', 'settle', 'depart', 'end'].map((step) => [`server.undoLiveMigration.${step}`, goesUnheard]),
  ),
};

/**
 * Against simulated hosts only (test/crash/everyFault.ts): steps that come only of a host that is dead for good or that forgets a guest,
 * and the end of a shelving that does not leave its host here.
 */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'server.revertResize.strand',
  'server.undoResize.strand',
  'server.undoUnshelve.strand',
  'server.undoLiveMigration.unknown',
  'server.undoLiveMigration.resume',
  ...['look', 'domain', 'unbind', 'vacate', 'offloaded'].map((step) => `server.shelve.${step}`),
]);

/** What makes a task of this kind come to this step; undefined where only simulated hosts get there. */
export const storyOf = (kind: string, step: string): Story | undefined =>
  ELSEWHERE.has(`${kind}.${step}`) ? undefined : (others[`${kind}.${step}`] ?? stories[kind]);
