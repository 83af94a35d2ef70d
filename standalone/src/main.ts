// The process of a cloud on one machine: `--config FILE`, runs until SIGTERM. `--check-config` only says whether the file is right.
import { parseArgs } from 'node:util';
import { createLogger, loadConfig, messageOf } from '@cumulet/common';
import { partsOf, StandaloneConfig, type Parts } from './config';
import { createStandalone, purgeHost } from './standalone';

const usage = `usage: cumulet-standalone --config FILE [--check-config | --purge]

  --config FILE    configuration (YAML); every key is documented in docs/operations.md
  --check-config   read it, say what is wrong with it and exit
  --purge          remove all servers, networks and rules of the cloud from this machine and exit; it must not be running

example: cumulet-standalone --config /etc/cumulet/cumulet.yaml
`;

async function run(parts: Parts): Promise<void> {
  const log = createLogger('standalone');
  const cloud = await createStandalone(parts);
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    cloud.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error: messageOf(error) }, 'did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  await cloud.start();
  log.info({ host: parts.host, port: parts.controller.port }, 'the cloud is up');
}

/** Prints and ends well. */
function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function main(): Promise<number | undefined> {
  const options = {
    config: { type: 'string' },
    'check-config': { type: 'boolean' },
    purge: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    const { values } = parseArgs({ options });
    if (values.help) return say(usage);
    if (values.config === undefined) throw new Error(`--config is missing\n\n${usage}`);
    const parts = partsOf(loadConfig(StandaloneConfig, values.config), values.config);
    if (values['check-config']) return say(`${values.config} is right\n`);
    if (values.purge) {
      await purgeHost(parts);
      return say('nothing of the cloud is left on this machine but its files\n');
    }
    await run(parts);
    return undefined;
  } catch (error) {
    process.stderr.write(`cumulet-standalone: ${messageOf(error)}\n`);
    return 1;
  }
}

void main().then((code) => {
  if (code !== undefined) process.exit(code);
});
