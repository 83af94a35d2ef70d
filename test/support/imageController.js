// A controller in a process of its own that tests can kill: node imageController.js DIRECTORY DATABASE, the database's keys as JSON. Prints its port. Everybody is "demo".
const { createMemoryBus, parseConfig, silentLogger, systemClock } = require('@cumulet/common');
const { ControllerConfig, createController } = require('@cumulet/controller');

const demo = {
  userId: 'demo-user',
  userName: 'demo',
  userDomainId: 'default',
  projectId: 'demo-project',
  projectName: 'demo',
  projectDomainId: 'default',
  domainId: null,
  systemScope: false,
  roles: ['member', 'reader'],
  isAdmin: false,
  auditIds: [],
  expiresAt: Number.MAX_SAFE_INTEGER,
  methods: ['password'],
};

async function main() {
  const config = { ...parseConfig(ControllerConfig, '', 'defaults'), data_dir: process.argv[2], port: 0 };
  const controller = await createController({
    config: {
      ...config,
      database: { ...config.database, ...JSON.parse(process.argv[3]) },
      image: { ...config.image, keep_free_mib: 0 },
    },
    bus: createMemoryBus(),
    clock: systemClock,
    log: silentLogger,
    host: () => undefined,
    tokens: { authenticate: () => Promise.resolve(demo) },
  });
  const server = await controller.start();
  process.stdout.write(`${server.address().port}\n`);
}

void main();
