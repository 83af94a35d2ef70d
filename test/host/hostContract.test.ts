// Real agents with libvirt, QEMU, files and bridges keep the contract that the simulated host of the other tests keeps.
import { makeTestCa, type TestCa } from '../support/certificates';
import { createContractController, type ContractController } from '../support/contractController';
import { hostContract } from '../support/hostContract';
import { createRealHost, type RealHost } from '../support/realHost';

interface Real {
  readonly host: RealHost;
  readonly controller: ContractController;
}
const reals = new Map<string, Real>();
let ca: TestCa;

async function start(controller: ContractController): Promise<void> {
  const { host: name, bus, api } = controller;
  const host = await createRealHost(name, bus, api, ca.files(name));
  reals.set(name, { host, controller });
  await host.start();
}
const named = (name: string): Real => {
  const real = reals.get(name);
  if (!real) throw new Error(`${name} did not start`);
  return real;
};

beforeAll(async () => {
  ca = await makeTestCa();
  for (const name of ['h1', 'h2']) await ca.add('host', name);
  const first = await createContractController('h1');
  const started = await Promise.allSettled([first, await createContractController('h2', first)].map(start));
  for (const one of started) if (one.status === 'rejected') throw one.reason;
});
afterAll(async () => {
  await Promise.all([...reals.values()].map(({ host }) => host.close()));
  ca?.stop();
});

hostContract(
  () => named('h1'),
  () => named('h2'),
  async () => {
    const { host, controller } = named('h2');
    await host.stop();
    host.sharesDisks = true;
    await host.start();
    return { host, controller };
  },
);
