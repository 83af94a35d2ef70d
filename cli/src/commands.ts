// Where each command is: files of nouns by the first word, so that a command loads its own file only.
// They are required, not imported: import() goes through the loader of ES modules, which takes longer than the files.
/* eslint-disable @typescript-eslint/no-require-imports */
import type { Command } from './command';

interface File {
  readonly commands: readonly Command[];
}
type Load = () => File;

const server: Load = () => ({
  commands: [
    require('./nouns/server'),
    require('./nouns/serverActions'),
    require('./nouns/serverMoves'),
    require('./nouns/serverShelve'),
    require('./nouns/placement'),
    require('./nouns/why'),
    require('./nouns/console'),
    require('./nouns/serverSsh'),
  ].flatMap((file) => (file as File).commands),
});
const network: Load = () => require('./nouns/network') as File;
const identity: Load = () => ({
  commands: [require('./nouns/identity'), require('./nouns/userAdd')].flatMap((file) => (file as File).commands),
});
const role: Load = () => require('./nouns/role') as File;
const hosts: Load = () => require('./nouns/hosts') as File;
const quota: Load = () => require('./nouns/quota') as File;
const resource: Load = () => ({
  commands: [require('./nouns/provider'), require('./nouns/inventory'), require('./nouns/trait')].flatMap(
    (file) => (file as File).commands,
  ),
});
const cloud: Load = () => require('./nouns/cloud') as File;
const securityGroup: Load = () => require('./nouns/securityGroup') as File;

/** In the order of the help. */
const FILES: Readonly<Record<string, Load>> = {
  server,
  console: server,
  audit: server,
  aggregate: server,
  image: () => ({
    commands: [require('./nouns/image'), require('./nouns/imageAdd')].flatMap((file) => (file as File).commands),
  }),
  flavor: () => require('./nouns/flavor') as File,
  keypair: () => require('./nouns/keypair') as File,
  network,
  ip: network,
  subnet: () => require('./nouns/subnet') as File,
  port: () => require('./nouns/port') as File,
  router: () => require('./nouns/router') as File,
  floating: () => require('./nouns/floatingIp') as File,
  security: securityGroup,
  address: securityGroup,
  project: identity,
  user: identity,
  group: identity,
  domain: identity,
  region: identity,
  service: identity,
  endpoint: identity,
  role,
  implied: role,
  quota,
  limits: quota,
  usage: quota,
  host: () => require('./nouns/drain') as File,
  hypervisor: hosts,
  compute: hosts,
  availability: hosts,
  resource,
  allocation: resource,
  trait: resource,
  cloud: () => require('./nouns/cloudExport') as File,
  token: cloud,
  catalog: cloud,
  versions: cloud,
  extension: cloud,
  logs: () => require('./nouns/logs') as File,
  complete: () => require('./nouns/complete') as File,
};

/** Every command there is. */
export const allCommands = (): Command[] => [...new Set(Object.values(FILES))].flatMap((load) => load().commands);

/** The commands that may be meant by a first word: those of its file, else all. */
export function commandsFor(word: string | undefined): readonly Command[] {
  const load = word !== undefined && Object.hasOwn(FILES, word) ? FILES[word] : undefined;
  return load ? load().commands : allCommands();
}
