// The order of the first hour: a machine as it was, the cloud on it, and the machine again; then once more from an older version.
import { offerHistory, type Commits } from '../containers/checkout';
import { lookAround, moveIn, reloadAll, type Firewall } from './neighbours';
import type { Report } from '../containers/report';
import { differences, ofNewPackages, takeSnapshot, type Snapshot } from '../containers/snapshot';
import * as story from './story';

const SHOWN = 60;

/** @param packages whether those that came went again. @throws Error with what is not as it was */
async function compare({ machine }: story.Stage, before: Snapshot, packages: boolean): Promise<string> {
  const after = await takeSnapshot(machine);
  const allowed = packages ? (): boolean => false : await ofNewPackages(before, machine);
  const found = differences(before, after, allowed);
  if (found.length > 0) throw new Error(`${found.length} differences:\n    ${found.slice(0, SHOWN).join('\n    ')}`);
  const lines = [...after.values()].reduce((sum, section) => sum + section.length, 0);
  return `${lines} lines of ${after.size} kinds are equal${packages ? '' : ', without what packages brought'}`;
}

async function firstCloud(stage: story.Stage, { step, need }: Report, firewall: Firewall): Promise<void> {
  const { machine } = stage;
  await need('sudo ./cumulet up', () => story.up(stage));
  await step('ssh to the demo server', () => story.demoServer(stage));
  await need('a server of their own', () => story.ownServer(stage));
  await step('a guest resolves a name', () => story.outsideName(stage));
  await step('a console ticket', () => story.consoleTicket(stage));
  await step('bad ranges of the LAN are refused', () => story.badValues(stage));
  await step('up with a range of the LAN', () => story.upWithRange(stage));
  await step('a neighbour reaches a server', () => story.lanAddress(stage));
  await step('everybody else reloads', async () => {
    await reloadAll(machine, firewall);
    return `${await story.neighbourReaches(stage)}; ${await lookAround(machine, firewall)}`;
  });
  await need('the machine reboots', async () => {
    await machine.reboot();
    return lookAround(machine, firewall);
  });
  await step('the cloud is back', () => story.back(stage));
  await step('its servers run', () => story.serversRun(stage));
  await step('a neighbour reaches a server again', () => story.neighbourReaches(stage));
  await step('up without the range', () => story.upWithoutRange(stage));
  await step('sudo ./cumulet down --purge --packages', () => story.purge(stage, '--packages'));
}

/** Plays all of it on a machine that has not booted yet. */
export async function play(stage: story.Stage, report: Report, firewall: Firewall, commits: Commits): Promise<void> {
  const { machine } = stage;
  const { step, need } = report;
  let before: Snapshot = new Map();
  await need('the machine boots', async () => {
    await machine.boot();
    await moveIn(machine, firewall);
    await offerHistory(machine, commits.newest);
    await machine.asRoot('chown -R lena: /srv/cumulet.git');
    await machine.asUser('git clone -q /srv/cumulet.git cumulet', 120);
    // What it is after a boot, as it will be after the other one.
    await machine.reboot();
    return lookAround(machine, firewall);
  });
  await need('the machine as it is', async () => {
    before = await takeSnapshot(machine);
    return [...before].map(([name, lines]) => `${lines.length} ${name}`).join(', ');
  });
  await firstCloud(stage, report, firewall);
  await step('the machine is as it was', () => compare(stage, before, true));
  // Older versions know no firewalld, and their servers are not reached beside it.
  if (firewall === 'firewalld') return;
  await need('the previous version comes up', () => story.previousUp(stage, commits.previous));
  await step('git pull and up', () => story.upgrade(stage, commits.newest));
  // The older version did not write down which packages it brought, so they stay.
  await step('sudo ./cumulet down --purge', () => story.purge(stage, ''));
  await step('the machine is as it was', () => compare(stage, before, false));
}
