// Interfaces that come and go while a server exists: the port is wired before the guest gets it, and goes after the guest let it go.
import type { ServerEnsure } from '@cumulet/common';
import { releaseServerPort, type PortChange } from '../../services/network/serverPorts';
import { done, next, wait, type Step, type TaskKind } from '../task';
import { ASK_AGAIN, prepare } from './serverCreate';
import { bind } from './serverPower';
import { domainOf, hostOf, serverOf, targetOf } from './serverState';
import { givesUp, leaveResidue } from './serverTeardown';

/** Tries to take back an interface that failed to attach: each waits a minute for a guest that may not listen. */
const TRIES = 2;

const portOf = (task: { readonly params: Readonly<Record<string, unknown>> }): string => String(task.params['port_id']);

/** Brings the domain in line with the server's interfaces, without switching anything on or off. */
const plug: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const disk = task.state['disk'] as ServerEnsure['disk'];
  const domain = await domainOf(cloud, server, disk, 'unchanged');
  const observed = await ask('server.ensure', targetOf(server), domain);
  return observed ? done({ message: 'the server has the interface' }) : wait(ASK_AGAIN);
};

const unplug: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const disk = task.state['disk'] as ServerEnsure['disk'];
  const domain = await domainOf(cloud, server, disk, 'unchanged', { without: portOf(task) });
  const observed = await ask('server.ensure', targetOf(server), domain);
  return observed ? next('release', { message: 'the server let the interface go' }) : wait(ASK_AGAIN);
};

/** The same after a failure. What never came to a definition needs no guest's consent, and nobody waits for one for ever. */
const takeBack: Step = async (context) => {
  const { cloud, task } = context;
  const server = await serverOf(cloud, task);
  const host = hostOf(server);
  if (!task.state['disk']) return next('release', { message: 'the server never had the interface' });
  if (!(await givesUp(cloud, task, host, 'compute', TRIES))) return unplug(context);
  return next('release', {
    message: 'the interface could not be taken from the guest; it is dead, and gone when the guest starts anew',
    // Until its network agent has looked at everything again, the host may still use the port's address.
    write: (session) => leaveResidue(session, cloud, server, host, 'network'),
  });
};

const release: Step = async ({ cloud, task }) => {
  const server = await serverOf(cloud, task);
  return next('unwire', {
    message: 'the port is released',
    write: async (session) => ({ ports: await releaseServerPort(session, cloud, server.id, portOf(task)) }),
  });
};

/** A network agent that is away removes the tap by itself when it comes back: its feed no longer has the port. */
const unwire: Step = async ({ cloud, task, ask }) => {
  const server = await serverOf(cloud, task);
  const host = hostOf(server);
  const { portIds, sequence } = task.state['ports'] as PortChange;
  const away = portIds.length === 0 || (await givesUp(cloud, task, host, 'network'));
  const gone = away || (await ask('ports.remove', targetOf(server, host), { port_ids: portIds, sequence }));
  return gone ? done({ message: 'the port is unwired' }) : wait(ASK_AGAIN);
};

const attach: TaskKind = {
  kind: 'server.attachInterface',
  first: 'bind',
  steps: { bind, prepare: prepare('plug', null, 'wired'), plug },
  onFail: { teardown: 'server.takeInterfaceBack' },
  onDelete: 'server.delete',
};

/** A user's detach: when the guest does not let go, the server keeps the interface and the action says why. */
const detach: TaskKind = {
  kind: 'server.detachInterface',
  first: 'bind',
  steps: { bind, prepare: prepare('unplug', null, 'wired'), unplug, release, unwire },
  onFail: { write: () => Promise.resolve() },
  onDelete: 'server.delete',
};

/** After a failed attach: the port is released as by a detach. */
const takeInterfaceBack: TaskKind = {
  kind: 'server.takeInterfaceBack',
  first: 'unplug',
  steps: { unplug: takeBack, release, unwire },
  onFail: 'never',
  onDelete: 'server.delete',
};

export const serverInterfaceKinds: readonly TaskKind[] = [attach, detach, takeInterfaceBack];
