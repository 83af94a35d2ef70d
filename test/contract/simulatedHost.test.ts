// The simulated host keeps the contract of a host; real agents do so in test/host/hostContract.test.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { createContractController, type ContractController } from '../support/contractController';
import { hostContract } from '../support/hostContract';
import { createSharedPool, createSimulatedHost, type SharedPool, type SimulatedHost } from '../support/simulatedHost';

interface Simulated {
  readonly host: SimulatedHost;
  readonly controller: ContractController;
}
let started: Simulated[];

async function start(name: string, beside?: Simulated, pool?: SharedPool): Promise<Simulated> {
  const controller = await createContractController(name, beside?.controller);
  const host = createSimulatedHost(name, controller.bus, controller.api, 200, pool);
  // Its guests don't listen.
  host.before = async (kind, signal) => {
    if (kind === 'guest.shutdown') await pause(20_000, undefined, { signal }).catch(() => undefined);
  };
  await host.start();
  return { host, controller };
}

beforeAll(async () => {
  const first = await start('h1');
  started = [first, await start('h2', first), await start('h3', undefined, createSharedPool())];
});
afterAll(() => Promise.all(started.map(({ host }) => host.stop())));

const nth = (index: number) => (): Simulated => {
  const one = started[index];
  if (!one) throw new Error('the host did not start');
  return one;
};

hostContract(nth(0), nth(1), () => Promise.resolve(nth(2)()));
