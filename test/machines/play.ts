// The order of the play: the documentation, a cloud that works, and what happens to machines and processes.
import { systemClock } from '@cumulet/common';
import { soon } from '../containers/patience';
import type { Machine } from '../containers/machine';
import type { Report } from '../containers/report';
import { differences, takeSnapshot, type Snapshot } from '../containers/snapshot';
import * as servers from './servers';
import { playSection, prepare } from './setup';
import { AGENTS, agentUnits, cloudJson, CONTROLLER_UNIT, PATIENCE_SECONDS, unitsOf, type Stage } from './stage';
import * as units from './units';

/** What agents make on a host, by the names of a snapshot's sections. */
const KERNEL = [
  'iptables',
  'ip6tables',
  'nft',
  'ipset',
  'links',
  'addresses',
  'routes',
  'proxies',
  'namespaces',
  'libvirt',
];

/** One controller answers again within this after its unit was restarted. */
const ANSWER_SECONDS = 10;

interface Audit {
  readonly clean: boolean;
  readonly hosts: number;
  readonly servers: number;
  readonly host_resources: number;
}

/** Agents may still follow. @throws CommandError with the findings */
async function audit(stage: Stage): Promise<string> {
  const found = await soon(() => cloudJson<Audit>(stage, 'audit'), PATIENCE_SECONDS);
  if (!found.clean) throw new Error('it is not clean');
  return `${found.hosts} hosts, ${found.servers} servers, ${found.host_resources} things on hosts: clean`;
}

/** Asks the API by TLS from the LAN while its unit is restarted. */
async function controllerRestarts({ ctl, lan }: Stage): Promise<string> {
  const ask = (): Promise<unknown> =>
    lan.neighbour(['curl', '-skf', '--max-time', '2', `https://${ctl.address}:5000/v3`]);
  await ask();
  const started = performance.now();
  const count = { asked: 0, failed: 0, seconds: 0 };
  let done = false;
  const asking = (async (): Promise<void> => {
    for (; !done; await systemClock.sleep(100)) {
      count.asked++;
      await ask().catch(() => {
        count.failed++;
        count.seconds = (performance.now() - started) / 1000;
      });
    }
  })();
  await ctl.asRoot(`systemctl restart ${CONTROLLER_UNIT}`, 120);
  await soon(ask, ANSWER_SECONDS);
  done = true;
  await asking;
  if (count.seconds > ANSWER_SECONDS) throw new Error(`requests failed for ${count.seconds.toFixed(1)} s`);
  return `${count.failed} of ${count.asked} requests failed, the last one after ${count.seconds.toFixed(1)} s`;
}

async function faults(stage: Stage, { step, need }: Report): Promise<void> {
  const { hosts } = stage;
  const [, second] = hosts;
  for (const [machine, unit] of unitsOf(stage)) {
    const name = `kill -9: ${unit} of ${machine.name}`;
    await step(name, async () => {
      const boot = await servers.bootId(stage);
      const words = await units.killed(machine, unit);
      await units.agentsUp(stage);
      await servers.works(stage);
      if ((await servers.bootId(stage)) !== boot) throw new Error('the guest was booted anew');
      return words;
    });
  }
  await step('an agent stands still (SIGSTOP)', () => units.stalled(second, 'cumulet-network-agent'));
  await step('agents are stopped and started', () => units.stoppedCleanly(stage));
  await step('the cloud works', () => servers.works(stage));
  await step("the controller's unit is restarted", () => controllerRestarts(stage));
  const reboots = (machine: Machine): Promise<boolean> =>
    need(`${machine.name} reboots`, async () => {
      await machine.reboot();
      await units.allActive(stage);
      await units.allReady(stage);
      return units.agentsUp(stage);
    });
  await reboots(second);
  await step('its servers run again', () => servers.works(stage));
  await reboots(stage.ctl);
  await step('the cloud works', () => servers.works(stage));
}

/** Takes the cloud off a host, with the server that runs on it. */
async function leave(stage: Stage, before: Snapshot): Promise<string> {
  const [host] = stage.hosts;
  const guests = await host.asRoot('virsh list --name');
  if (guests === '') throw new Error(`no server runs on ${host.name}: this would show nothing`);
  const commands = AGENTS.map(
    (agent) => `node /usr/lib/cumulet/${agent}-agent/dist/main.js --config /etc/cumulet/${agent}-agent.yaml --purge`,
  );
  await host.asAdministrator([`systemctl disable --now ${agentUnits.join(' ')}`, ...commands].join('\n'), 300);
  const after = await takeSnapshot(host, KERNEL);
  const found = differences(before, after, () => false);
  if (found.length > 0) throw new Error(`${found.length} differences:\n    ${found.slice(0, 60).join('\n    ')}`);
  return `${[...after.values()].reduce((sum, section) => sum + section.length, 0)} lines of ${after.size} kinds are equal`;
}

/** Plays all of it on machines that have not booted yet. */
export async function play(stage: Stage, report: Report, commit: string): Promise<void> {
  const { step, need } = report;
  let before: Snapshot = new Map();
  await need('three machines boot', () => prepare(stage, commit));
  await playSection(stage, report, 'Setting it up', {
    agents: async () => {
      before = await takeSnapshot(stage.hosts[0], KERNEL);
    },
    content: async () => {
      await units.allActive(stage);
      await units.agentsUp(stage);
    },
  });
  await step('all units are active', () => units.allActive(stage));
  await step('all processes are ready (/readyz)', () => units.allReady(stage));
  await step('all agents are up', () => units.agentsUp(stage));
  await need('a server on each host', () => servers.serversActive(stage));
  await step('a floating IP answers from outside', () => servers.pingFromOutside(stage));
  await step('a server reaches the other one', () => servers.pingAcross(stage));
  await step('a live migration', () => servers.liveMigrate(stage));
  await step('and back', () => servers.liveMigrate(stage));
  await step('the cloud works', () => servers.works(stage));
  await faults(stage, report);
  await step('cumulet audit', () => audit(stage));
  await step('agents leave a host (--purge)', () => leave(stage, before));
}
