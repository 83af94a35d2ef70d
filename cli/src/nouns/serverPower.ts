// cumulet server start, stop, reboot, pause, unpause, suspend, resume, lock, unlock; and the console's log.
import { flag, text, type Command, type Row } from '../command';
import { each, idFor } from '../resource';
import { waitForServer } from '../wait';
import { server } from './resources';

/** Verb, body of the action, and the state it ends in; undefined where there is nothing to wait for. */
const ACTIONS: readonly (readonly [string, Row, string | undefined, string])[] = [
  ['start', { 'os-start': null }, 'ACTIVE', 'Start servers'],
  ['stop', { 'os-stop': null }, 'SHUTOFF', 'Shut servers down'],
  ['pause', { pause: null }, 'PAUSED', 'Freeze servers in memory'],
  ['unpause', { unpause: null }, 'ACTIVE', 'Let frozen servers go on'],
  ['suspend', { suspend: null }, 'SUSPENDED', 'Put servers to sleep'],
  ['resume', { resume: null }, 'ACTIVE', 'Wake suspended servers'],
  ['lock', { lock: null }, undefined, 'Protect servers from changes'],
  ['unlock', { unlock: null }, undefined, 'Allow changes again'],
];

const wait = flag('wait until it is done');

const actions = ACTIONS.map(([verb, body, state, summary]): Command => ({
  name: `server ${verb}`,
  summary,
  example: `cumulet server ${verb} hello`,
  args: ['server...'],
  ...(state === undefined ? {} : { options: { wait } }),
  async run(context) {
    const { api, input } = context;
    await each(input.args, async (name) => {
      const id = await idFor(api, server, name);
      await api.send('compute', 'POST', `/servers/${id}/action`, body);
      if (state !== undefined && input.flag('wait')) await waitForServer(context, id, state);
    });
    return undefined;
  },
}));

const reboot: Command = {
  name: 'server reboot',
  summary: 'Restart a server',
  example: 'cumulet server reboot --hard --wait hello',
  args: ['server'],
  options: { hard: flag('without asking its system'), soft: flag('ask its system (this is the default)'), wait },
  async run(context) {
    const { api, input } = context;
    const id = await idFor(api, server, input.arg(0));
    const type = input.flag('hard') ? 'HARD' : 'SOFT';
    await api.send('compute', 'POST', `/servers/${id}/action`, { reboot: { type } });
    if (input.flag('wait')) await waitForServer(context, id, 'ACTIVE');
    return undefined;
  },
};

const consoleLog: Command = {
  name: 'console log show',
  summary: 'Show what a server wrote to its console',
  example: 'cumulet console log show --lines 20 hello',
  args: ['server'],
  options: { lines: text('only this many lines from the end', 'COUNT') },
  async run({ api, input }) {
    const id = await idFor(api, server, input.arg(0));
    const length = input.number('lines');
    const body = { 'os-getConsoleOutput': length === undefined ? {} : { length } };
    const { output } = await api.json('compute', 'POST', `/servers/${id}/action`, body);
    return { text: typeof output === 'string' ? output : '' };
  },
};

export const serverPowerCommands: readonly Command[] = [...actions, reboot, consoleLog];
