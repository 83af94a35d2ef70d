// The one configuration file of a cloud on one machine: flat keys for what people set, sections for the rest.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError, healthConfig, parseConfig } from '@cumulet/common';
import { ComputeConfig } from '@cumulet/compute-agent';
import { ControllerConfig, RemoteApiConfig } from '@cumulet/controller';
import { FloatingConfig, NetworkAgentConfig } from '@cumulet/network-agent';
import { StorageConfig } from '@cumulet/storage-agent';
import { Type, type Static } from '@sinclair/typebox';

/** Sections are checked by the part that they belong to. */
const Section = Type.Record(Type.String(), Type.Unknown(), { default: {} });

export const StandaloneConfig = Type.Object(
  {
    listen: Type.String({ default: '127.0.0.1:5000', description: 'Address and port of the API.' }),
    remote_api: Type.Union([RemoteApiConfig, Type.Null()], {
      default: null,
      description: 'Where the API listens besides, with TLS, for other machines.',
    }),
    data_dir: Type.String({ default: '/var/lib/cumulet', description: 'Where everything that must survive is.' }),
    bootstrap_file: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: 'JSON file with admin_password, read when the cloud is made.',
    }),
    host: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: "This machine's name in the cloud; its host name unless set.",
    }),
    external_address: Type.String({
      default: '172.24.4.1/24',
      description: "This machine's address on the external network's bridge.",
    }),
    floating: FloatingConfig,
    health: healthConfig(5110, false),
    controller: Section,
    compute: Section,
    network: Section,
    storage: Section,
  },
  { additionalProperties: false },
);
export type StandaloneConfig = Static<typeof StandaloneConfig>;

/** The parts' own configurations. */
export interface Parts {
  readonly host: string;
  readonly controller: ControllerConfig;
  readonly compute: ComputeConfig;
  readonly network: NetworkAgentConfig;
  readonly storage: StorageConfig;
}

/** The bridge of the external network that this machine makes itself, and the name that networks know it by. */
export const EXTERNAL_BRIDGE = 'cml-ext';
export const EXTERNAL_NAME = 'public';

/** Splits the file into the parts' configurations. @throws ConfigError naming the key */
export function partsOf(config: StandaloneConfig, source: string): Parts {
  const listen = /^(.*):(\d+)$/.exec(config.listen);
  if (!listen)
    throw new ConfigError(`${source}: listen: '${config.listen}' is not ADDRESS:PORT`, { source, key: 'listen' });
  // JSON is YAML, so that one function fills in defaults and checks.
  const section = (name: string, own: object, given: object) =>
    [JSON.stringify({ ...own, ...given }), `${source}: ${name}`] as const;
  const { data_dir } = config;
  const hostDir = join(data_dir, 'host');
  return {
    host: config.host ?? hostname(),
    controller: parseConfig(
      ControllerConfig,
      ...section(
        'controller',
        {
          listen: listen[1],
          port: Number(listen[2]),
          remote_api: config.remote_api,
          data_dir,
          bootstrap_file: config.bootstrap_file,
        },
        config.controller,
      ),
    ),
    compute: parseConfig(ComputeConfig, ...section('compute', { dir: hostDir }, config.compute)),
    network: parseConfig(
      NetworkAgentConfig,
      ...section(
        'network',
        {
          stateDir: join(data_dir, 'network'),
          physical_networks: { [EXTERNAL_NAME]: EXTERNAL_BRIDGE },
          external: { bridge: EXTERNAL_BRIDGE, address: config.external_address, floating: config.floating },
        },
        config.network,
      ),
    ),
    storage: parseConfig(StorageConfig, ...section('storage', { dir: hostDir }, config.storage)),
  };
}
