// The process of a cloud on one machine.
import { exec, runProcess } from '@cumulet/common';
import { checkRemoteApi, checkVersion, databaseOptions, printPolicy } from '@cumulet/controller';
import { checkFloating } from '@cumulet/network-agent';
import { partsOf, StandaloneConfig } from './config';
import { belongings } from './belongings';
import { createStandalone, purgeHost } from './standalone';

void runProcess({
  name: 'cumulet-standalone',
  schema: StandaloneConfig,
  prepare: (config, source) => ({ parts: partsOf(config, source), health: config.health }),
  async check({ parts }) {
    const floating = parts.network.external?.floating;
    if (floating) await checkFloating(exec, floating);
    await checkVersion(databaseOptions(parts.controller));
    return checkRemoteApi(parts.controller);
  },
  health: ({ health }) => health,
  async start({ parts }, _log, fail) {
    const cloud = await createStandalone(parts);
    // A host may be slow to come, and the cloud can be stopped meanwhile.
    let starting = true;
    cloud.start().then(() => (starting = false), fail);
    return {
      missing: () =>
        Promise.resolve([...(starting ? ['the agents of this machine are starting'] : []), ...cloud.missing()]),
      stop: () => cloud.stop(),
    };
  },
  actions: {
    'print-policy': { help: printPolicy.help, run: ({ parts }) => printPolicy.run(parts.controller) },
    list: {
      help: 'say what of the cloud is on this machine, which a purge would remove, and exit',
      run: async ({ parts }) => (await belongings(parts)).join('\n'),
    },
    purge: {
      help: 'remove all servers, networks and rules of the cloud from this machine and exit; it must not be running',
      async run({ parts }) {
        await purgeHost(parts);
        return 'nothing of the cloud is left on this machine but its files';
      },
    },
  },
});
