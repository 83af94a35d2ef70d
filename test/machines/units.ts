// The units of the cloud as systemd has them: ready, watched, started anew, stopped.
import { expectWords, soon } from '../containers/patience';
import type { Machine } from '../containers/machine';
import { agentUnits, cloudJson, PATIENCE_SECONDS, unitsOf, type Stage } from './stage';

type Properties = Readonly<Record<string, string>>;

async function properties(machine: Machine, unit: string): Promise<Properties> {
  const lines = (await machine.asRoot(`systemctl show ${unit}`)).split('\n');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** @throws Error unless it told that it is ready, and the watchdog heard of it */
async function activeUnit(machine: Machine, unit: string): Promise<Properties> {
  const found = await properties(machine, unit);
  const words = ['ActiveState', 'SubState', 'Type', 'WatchdogUSec'].map((name) => found[name]).join(' ');
  if (words !== 'active running notify 30s') throw new Error(`${unit} of ${machine.name} is "${words}"`);
  if (found['WatchdogTimestampMonotonic'] === '0') throw new Error(`the watchdog never heard of ${unit}`);
  return found;
}

export async function allActive(stage: Stage): Promise<string> {
  const all = unitsOf(stage);
  for (const [machine, unit] of all) await soon(() => activeUnit(machine, unit), PATIENCE_SECONDS);
  return `${all.length} units, readiness told, watchdog of 30 s`;
}

const HEALTH_PORTS: Readonly<Record<string, number>> = {
  'cumulet-controller': 5110,
  'cumulet-compute-agent': 5111,
  'cumulet-network-agent': 5112,
  'cumulet-storage-agent': 5113,
};

/** Each process says that it lacks nothing. @throws CommandError with what is missing */
export async function allReady(stage: Stage): Promise<string> {
  const all = unitsOf(stage);
  for (const [machine, unit] of all) {
    const url = `http://127.0.0.1:${HEALTH_PORTS[unit]}/readyz`;
    const ask = `fetch('${url}').then(async (r) => { console.log(await r.text()); process.exit(r.ok ? 0 : 1); })`;
    await soon(() => machine.asRoot(`node -e "${ask}"`), PATIENCE_SECONDS);
  }
  return `${all.length} processes`;
}

/** The client's two lists of agents: those of servers, and those of networks. */
export async function agentsUp(stage: Stage, seconds = PATIENCE_SECONDS): Promise<string> {
  const look = async (): Promise<string> => {
    const services = await cloudJson<{ Host: string; State: string; Binary: string }[]>(stage, 'compute service list');
    const networks = await cloudJson<{ Host: string; Alive: boolean }[]>(stage, 'network agent list');
    for (const { name } of stage.hosts) {
      const service = services.find(({ Host, Binary }) => Host === name && Binary === 'nova-compute');
      if (service?.State !== 'up') throw new Error(`compute of ${name} is ${service?.State ?? 'not known'}`);
      const agents = networks.filter(({ Host }) => Host === name);
      if (agents.length === 0 || agents.some(({ Alive }) => !Alive)) throw new Error(`network of ${name} is not alive`);
    }
    return stage.hosts.map(({ name }) => name).join(' and ');
  };
  return soon(look, seconds);
}

/** Waits until another process of the unit is ready. @returns the seconds that took */
async function newProcess(machine: Machine, unit: string, old: string, seconds: number): Promise<string> {
  const started = performance.now();
  await soon(async () => {
    const { MainPID } = await activeUnit(machine, unit);
    if (MainPID === old) throw new Error(`${unit} of ${machine.name} is still process ${old}`);
  }, seconds);
  return ((performance.now() - started) / 1000).toFixed(0);
}

async function signal(machine: Machine, unit: string, name: 'KILL' | 'STOP'): Promise<string> {
  const { MainPID = '' } = await activeUnit(machine, unit);
  expectWords(MainPID, /^[1-9]\d*$/);
  await machine.asRoot(`kill -${name} ${MainPID}`);
  return MainPID;
}

/** `kill -9`. @returns how long another one took */
export async function killed(machine: Machine, unit: string): Promise<string> {
  const before = await properties(machine, unit);
  const old = await signal(machine, unit, 'KILL');
  const seconds = await newProcess(machine, unit, old, 30);
  const after = await properties(machine, unit);
  if (Number(after['NRestarts']) <= Number(before['NRestarts'])) throw new Error('systemd counts no restart');
  return `${machine.name} ${unit.replace('cumulet-', '')} ${seconds} s`;
}

/** The watchdog ends a process that stands still, at 30 s. */
export async function stalled(machine: Machine, unit: string): Promise<string> {
  const old = await signal(machine, unit, 'STOP');
  const seconds = await newProcess(machine, unit, old, 120);
  const log = await machine.asRoot(`journalctl -u ${unit} --no-pager | grep -i watchdog | tail -n 1`);
  expectWords(log, /Failed with result 'watchdog'/);
  return `another process after ${seconds} s`;
}

const STOP_SECONDS = 10;

/** All agents of a host stop without complaint, and start again. */
export async function stoppedCleanly({ hosts }: Stage): Promise<string> {
  const [, host] = hosts;
  const times: string[] = [];
  for (const unit of agentUnits) {
    const started = performance.now();
    await host.asRoot(`systemctl stop ${unit}`, 120);
    const seconds = (performance.now() - started) / 1000;
    const { Result = '', ActiveState = '' } = await properties(host, unit);
    if (`${ActiveState} ${Result}` !== 'inactive success') throw new Error(`${unit} is ${ActiveState}: ${Result}`);
    if (seconds > STOP_SECONDS) throw new Error(`${unit} took ${seconds.toFixed(1)} s to stop`);
    times.push(`${unit.replace('cumulet-', '')} ${seconds.toFixed(1)} s`);
  }
  await host.asRoot(`systemctl start ${agentUnits.join(' ')}`, 120);
  return times.join(', ');
}
