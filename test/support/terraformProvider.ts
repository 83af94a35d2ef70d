// How the OpenStack provider of Terraform uses gophercloud: which calls make, read, change and remove a resource, and which states it waits for.
import { UnexpectedCode, type GoProvider, type GoService } from './gophercloud';
import { goTypes, type Shape } from './goTypes';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
type Body = any;
type Values = Record<string, unknown>;

interface Noun {
  readonly path: string;
  readonly member: keyof typeof goTypes;
  /** Extra states to wait through after a create; undefined: any. */
  readonly pending?: readonly string[];
  /** States in which it is made; undefined: it has no state. */
  readonly made?: readonly string[];
  /** States that may be seen while it is deleted. */
  readonly deleting?: readonly string[];
  /** Status codes of an update. */
  readonly updated?: readonly number[];
  /** True: the delete is repeated while it answers 409. */
  readonly retried?: boolean;
}

const NOUNS = {
  network: { path: 'networks', member: 'network', pending: ['BUILD'], made: ['ACTIVE', 'DOWN'], updated: [200, 201] },
  subnet: { path: 'subnets', member: 'subnet', updated: [200, 201], retried: true },
  port: { path: 'ports', member: 'port', made: ['ACTIVE', 'DOWN'], updated: [200, 201] },
  router: {
    path: 'routers',
    member: 'router',
    pending: ['BUILD', 'PENDING_CREATE', 'PENDING_UPDATE'],
    made: ['ACTIVE'],
  },
  floatingip: {
    path: 'floatingips',
    member: 'floatingip',
    made: ['ACTIVE', 'DOWN'],
    deleting: ['ACTIVE', 'DOWN'],
  },
  secgroup: { path: 'security-groups', member: 'security_group', retried: true },
  secgroupRule: { path: 'security-group-rules', member: 'security_group_rule' },
} as const satisfies Record<string, Noun>;

/** Polls until a target state. @throws Error for a state that is neither a target nor expected on the way */
async function waitFor(
  state: () => Promise<string>,
  target: readonly string[],
  pending?: readonly string[],
): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const now = await state();
    if (target.includes(now)) return;
    if (pending && !pending.includes(now))
      throw new Error(`unexpected state '${now}', wanted target '${target.join(', ')}'`);
    await new Promise((next) => setTimeout(next, 25));
  }
  throw new Error(`timeout while waiting for ${target.join(', ')}`);
}

const codeOf = (error: unknown): number => (error instanceof UnexpectedCode ? error.status : 0);

/** The state of what `read` reads; DELETED when it is not found. */
async function stateOf(read: () => Promise<Body>): Promise<string> {
  try {
    const found: Body = await read();
    return (found.status as string | undefined) ?? 'ACTIVE';
  } catch (error) {
    if (codeOf(error) === 404) return 'DELETED';
    throw error;
  }
}

function networking(service: GoService, kind: keyof typeof NOUNS) {
  const noun: Noun = NOUNS[kind];
  const shape: Shape = goTypes[noun.member];
  const { path, member } = noun;
  const read = (id: string): Promise<Body> => service.call('GET', `${path}/${id}`, { member, shape });
  const setTags = (id: string, tags: readonly string[]): Promise<string[]> =>
    service.call('PUT', `${path}/${id}/tags`, { json: { tags }, codes: [200], member: 'tags', shape: 'strings' });
  return {
    read,
    setTags,
    list: (query: string) => service.list(`${path}?${query}`, noun.path.replaceAll('-', '_'), shape),
    async create(values: Values, tags: readonly string[] = []): Promise<Body> {
      const { id } = await service.call('POST', path, { json: { [member]: values }, member, shape });
      if (noun.made) await waitFor(() => stateOf(() => read(id)), noun.made, noun.pending);
      if (tags.length > 0) await setTags(id, tags);
      return read(id);
    },
    async update(id: string, values: Values): Promise<Body> {
      await service.call('PUT', `${path}/${id}`, {
        json: { [member]: values },
        codes: noun.updated ?? [200],
        member,
        shape,
      });
      return read(id);
    },
    async remove(id: string): Promise<void> {
      const attempt = async (): Promise<string> => {
        try {
          await service.call('DELETE', `${path}/${id}`);
        } catch (error) {
          if (codeOf(error) === 404) return 'DELETED';
          if (codeOf(error) === 409) return 'ACTIVE';
          throw error;
        }
        return stateOf(() => read(id));
      };
      if (noun.retried) return waitFor(attempt, ['DELETED'], ['ACTIVE']);
      await service.call('DELETE', `${path}/${id}`);
      await waitFor(() => stateOf(() => read(id)), ['DELETED'], noun.deleting ?? ['ACTIVE']);
    },
  };
}

function routerInterfaces(service: GoService) {
  const shape = goTypes.routerInterface;
  const port = (id: string): Promise<Body> =>
    service.call('GET', `ports/${id}`, { member: 'port', shape: goTypes.port });
  return {
    async create(router: string, values: Values): Promise<Body> {
      const path = `routers/${router}/add_router_interface`;
      const joined = await service.call('PUT', path, { json: values, codes: [200], member: '', shape });
      await waitFor(
        () => stateOf(() => port(joined.port_id)),
        ['ACTIVE', 'DOWN'],
        ['BUILD', 'PENDING_CREATE', 'PENDING_UPDATE'],
      );
      return port(joined.port_id);
    },
    remove: (router: string, id: string, values: Values): Promise<void> =>
      waitFor(
        async () => {
          const path = `routers/${router}/remove_router_interface`;
          try {
            await service.call('PUT', path, { json: values, codes: [200], member: '', shape });
          } catch (error) {
            if (codeOf(error) === 404) return 'DELETED';
            if (codeOf(error) === 409) return 'ACTIVE';
            throw error;
          }
          const state = await stateOf(() => port(id));
          return state === 'DELETED' ? state : 'ACTIVE';
        },
        ['DELETED'],
        ['ACTIVE'],
      ),
  };
}

function instances(compute: GoService, image: GoService) {
  const shape = goTypes.server;
  const get = (id: string): Promise<Body> =>
    compute.call('GET', `servers/${id}`, { codes: [200, 203], member: 'server', shape });
  const state = (id: string) => () => stateOf(() => get(id));
  const act = async (id: string, action: Values, target: string): Promise<void> => {
    await compute.call('POST', `servers/${id}/action`, { json: action });
    await waitFor(state(id), [target]);
  };
  return {
    act,
    /** A refresh: the server, its flavor by id, its image, and its tags at 2.26. */
    async read(id: string): Promise<Body> {
      const server = await get(id);
      const flavor = await compute.call('GET', `flavors/${server.flavor.id}`, {
        member: 'flavor',
        shape: goTypes.flavor,
      });
      const booted = await image.call('GET', `images/${server.image.id}`, { member: '', shape: goTypes.image });
      const tags = await compute
        .at('2.26')
        .call('GET', `servers/${id}/tags`, { codes: [200], member: 'tags', shape: 'strings' });
      return { ...server, flavor_name: flavor.name, image_name: booted.name, tags };
    },
    async create(values: Values): Promise<string> {
      // A client asks for the least version that it needs: 2.52 for tags, 2.37 for networks in one word.
      const client =
        'tags' in values ? compute.at('2.52') : typeof values['networks'] === 'string' ? compute.at('2.37') : compute;
      const { id } = await client.call('POST', 'servers', {
        json: { server: values },
        codes: [200, 202],
        member: 'server',
        shape,
      });
      await waitFor(state(id), ['ACTIVE'], ['BUILD']);
      return id;
    },
    rename: (id: string, name: string) =>
      compute.call('PUT', `servers/${id}`, { json: { server: { name } }, codes: [200], member: 'server', shape }),
    setMetadata: (id: string, metadata: Values) =>
      compute.call('POST', `servers/${id}/metadata`, {
        json: { metadata },
        codes: [200],
        member: 'metadata',
        shape: 'stringMap',
      }),
    metadata: (id: string) => compute.call('GET', `servers/${id}/metadata`, { member: 'metadata', shape: 'stringMap' }),
    removeMetadata: (id: string, key: string) => compute.call('DELETE', `servers/${id}/metadata/${key}`),
    setTags: (id: string, tags: readonly string[]) =>
      compute
        .at('2.26')
        .call('PUT', `servers/${id}/tags`, { json: { tags }, codes: [200], member: 'tags', shape: 'strings' }),
    group: (id: string, verb: 'add' | 'remove', name: string) =>
      compute.call('POST', `servers/${id}/action`, { json: { [`${verb}SecurityGroup`]: { name } } }),
    async rebuild(id: string, imageRef: string): Promise<void> {
      const json = { rebuild: { imageRef } };
      await compute.call('POST', `servers/${id}/action`, { json, member: 'server', shape });
      await waitFor(state(id), ['ACTIVE', 'SHUTOFF'], ['REBUILD']);
    },
    /** A change of flavor is a resize that is confirmed at once. */
    async resize(id: string, flavorRef: string): Promise<void> {
      await compute.call('POST', `servers/${id}/action`, { json: { resize: { flavorRef } } });
      await waitFor(state(id), ['VERIFY_RESIZE'], ['RESIZE']);
      const confirm = { json: { confirmResize: null }, codes: [201, 202, 204] };
      await compute.call('POST', `servers/${id}/action`, confirm);
      await waitFor(state(id), ['ACTIVE', 'SHUTOFF'], ['VERIFY_RESIZE']);
    },
    async remove(id: string): Promise<void> {
      await compute.call('DELETE', `servers/${id}`);
      await waitFor(state(id), ['DELETED', 'SOFT_DELETED'], ['ACTIVE', 'SHUTOFF']);
    },
  };
}

function imageResource(service: GoService) {
  const shape = goTypes.image;
  const read = (id: string): Promise<Body> => service.call('GET', `images/${id}`, { member: '', shape });
  return {
    read,
    async create(values: Values, bytes: Buffer): Promise<Body> {
      const { id } = await service.call('POST', 'images', { json: values, codes: [201], member: '', shape });
      await service.call('PUT', `images/${id}/file`, { raw: bytes, type: 'application/octet-stream', codes: [204] });
      await waitFor(() => stateOf(() => read(id)), ['active'], ['queued', 'saving', 'importing']);
      return read(id);
    },
    async update(id: string, patch: readonly object[]): Promise<Body> {
      const type = 'application/openstack-images-v2.1-json-patch';
      const raw = JSON.stringify(patch);
      await service.call('PATCH', `images/${id}`, { raw, type, codes: [200], member: '', shape });
      return read(id);
    },
    find: (query: string) => service.list(`images?${query}`, 'images', shape),
    remove: (id: string) => service.call('DELETE', `images/${id}`),
  };
}

function identityResource(service: GoService, path: string, member: 'project' | 'user' | 'role') {
  const shape = goTypes[member];
  const read = (id: string): Promise<Body> => service.call('GET', `${path}/${id}`, { member, shape });
  return {
    read,
    async create(values: Values): Promise<Body> {
      const json = { [member]: values };
      const codes = member === 'project' ? undefined : [201];
      const { id } = await service.call('POST', path, { json, ...(codes ? { codes } : {}), member, shape });
      return read(id);
    },
    async update(id: string, values: Values): Promise<Body> {
      await service.call('PATCH', `${path}/${id}`, { json: { [member]: values }, codes: [200], member, shape });
      return read(id);
    },
    list: (query: string) => service.list(`${path}?${query}`, path, shape),
    remove: (id: string) => service.call('DELETE', `${path}/${id}`),
  };
}

/** The resources and data sources of one configured provider. */
export async function terraform(provider: GoProvider) {
  const [identity, image, compute, network] = await Promise.all(
    (['identity', 'image', 'compute', 'network'] as const).map((type) => provider.service(type)),
  );
  if (!identity || !image || !compute || !network) throw new Error('a service is missing');
  return {
    identity,
    compute,
    network,
    networks: networking(network, 'network'),
    subnets: networking(network, 'subnet'),
    ports: networking(network, 'port'),
    routers: networking(network, 'router'),
    floatingIps: networking(network, 'floatingip'),
    secgroups: networking(network, 'secgroup'),
    secgroupRules: networking(network, 'secgroupRule'),
    routerInterfaces: routerInterfaces(network),
    instances: instances(compute, image),
    images: imageResource(image),
    projects: identityResource(identity, 'projects', 'project'),
    users: identityResource(identity, 'users', 'user'),
    roles: identityResource(identity, 'roles', 'role'),
    roleAssignments: {
      async create(project: string, user: string, role: string): Promise<boolean> {
        await identity.call('PUT', `projects/${project}/users/${user}/roles/${role}`, { codes: [204] });
        const all = await identity.list(`projects/${project}/users/${user}/roles`, 'roles', goTypes.role);
        return all.some(({ id }: Body) => id === role);
      },
      remove: (project: string, user: string, role: string) =>
        identity.call('DELETE', `projects/${project}/users/${user}/roles/${role}`, { codes: [204] }),
    },
    keypairs: {
      create: (values: Values) =>
        compute.call('POST', 'os-keypairs', {
          json: { keypair: values },
          codes: [200, 201],
          member: 'keypair',
          shape: goTypes.keypair,
        }),
      read: (name: string) => compute.call('GET', `os-keypairs/${name}`, { member: 'keypair', shape: goTypes.keypair }),
      remove: (name: string) => compute.call('DELETE', `os-keypairs/${name}`),
    },
    flavors: {
      create: (values: Values) =>
        compute.call('POST', 'flavors', {
          json: { flavor: values },
          codes: [200, 201],
          member: 'flavor',
          shape: goTypes.flavor,
        }),
      /** The data source asks at the version that has descriptions. */
      find: (query: string) => compute.at('2.55').list(`flavors/detail?${query}`, 'flavors', goTypes.flavor),
      extraSpecs: (id: string) =>
        compute.call('GET', `flavors/${id}/os-extra_specs`, { member: 'extra_specs', shape: 'stringMap' }),
    },
  };
}
