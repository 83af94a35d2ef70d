// The real standalone cloud on a machine of the test's own: started, killed and started again with the same data.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { haltBootSector } from './bootSector';
import { root } from './checkout';
import type { OwnMachine, Program } from './ownMachine';
import {
  connect,
  liftQuotas,
  makeNetwork,
  PASSWORD,
  ready,
  uploadImage,
  type CloudClient,
  type Content,
} from './realCloud';

export interface MachineCloud {
  readonly url: string;
  readonly data: string;
  /** What all its processes said. */
  readonly log: string;
  /** Starts the process and does not wait. */
  launch(): void;
  /** Starts the process unless it runs, waits until it answers and signs in. */
  start(): Promise<CloudClient>;
  /** Resolves when it answers. */
  ready(): Promise<void>;
  kill(): Promise<void>;
  /** What an independent count finds, line by line. */
  orphans(): Promise<string[]>;
}

/** `config` is merged into the configuration file, section by section. */
export function installCloud(machine: OwnMachine, config: Record<string, object> = {}): MachineCloud {
  const { directory, address } = machine;
  const data = join(directory, 'data');
  const log = join(directory, 'cloud.log');
  const bootstrap = join(directory, 'bootstrap.json');
  const file = join(directory, 'cumulet.yaml');
  const url = `http://${address}:5000`;
  mkdirSync(data, { mode: 0o711 });
  writeFileSync(bootstrap, JSON.stringify({ admin_password: PASSWORD }), { mode: 0o600 });
  writeFileSync(
    file,
    JSON.stringify({
      listen: `${address}:5000`,
      data_dir: data,
      bootstrap_file: bootstrap,
      ...config,
      // Lists of what is wrong are made often here, and passwords are not what is tested.
      controller: { password_cost: 10, ...config['controller'] },
    }),
  );
  const argv = [process.execPath, join(root, 'standalone/dist/main.js'), '--config', file];
  let program: Program | undefined;
  const exitCode = (): number | undefined => program?.exitCode();
  const cloud: MachineCloud = {
    url,
    data,
    log,
    launch: () => void (program = machine.start(argv, log)),
    ready: () => ready(`${url}/healthz`, exitCode),
    async start() {
      if (program === undefined || exitCode() !== undefined) cloud.launch();
      await cloud.ready();
      return connect(url);
    },
    kill: async () => program?.end('SIGKILL'),
    async orphans() {
      const script = join(root, 'test/independent/orphans.py');
      // It exits with 1 when there are orphans; what could not be looked at is for the reader.
      const said = await machine.run('sh', '-c', `python3 ${script} --data ${data} 2>&1 || :`);
      return said.trim().split('\n');
    },
  };
  return cloud;
}

/** What servers are made of whose guests do nothing; quotas without limit. */
export async function idleContent(client: CloudClient, directory: string): Promise<Content> {
  const file = join(directory, 'halt.raw');
  writeFileSync(file, haltBootSector());
  const image = await uploadImage(client, file, 'raw', 'halt');
  const { flavor } = await client.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'idle', vcpus: 1, ram: 32, disk: 1 },
  });
  const network = await makeNetwork(client, 'idle', '10.77.0.0/24');
  await liftQuotas(client);
  return { image, flavor: flavor.id, network };
}
