// What a new cloud begins with: the default domain, the project and user admin, three roles, a region and the catalog. Made once.
import { readFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { ConfigError, fits, messageOf } from '@cumulet/common';
import type { Database, WriteSession } from '../../db';
import {
  assignments,
  catalogEndpoints,
  catalogServices,
  impliedRoles,
  projects,
  regions,
  roles,
  users,
} from '../../db/entities/identity';
import { orElseDone } from './conflicts';
import { identityId } from './ids';
import type { Passwords } from './passwords';

const BootstrapFile = Type.Object({ admin_password: Type.String({ minLength: 1 }) });

const SERVICES = [
  { type: 'identity', name: 'keystone', url: '/identity' },
  { type: 'image', name: 'glance', url: '/image' },
  { type: 'compute', name: 'nova', url: '/compute/v2.1' },
  { type: 'network', name: 'neutron', url: '/network' },
  { type: 'placement', name: 'placement', url: '/placement' },
] as const;

const DEFAULT_DOMAIN = 'default';

/** The password in the bootstrap file. @throws ConfigError */
function readPassword(path: string): string {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`cannot read the bootstrap file ${path}: ${messageOf(error)}`, { path });
  }
  if (!fits(BootstrapFile, value))
    throw new ConfigError(`the bootstrap file ${path} must hold {"admin_password": "..."}`, { path });
  return value.admin_password;
}

const blank = { description: '', options: {}, extra: {} };

async function makeDomain(session: WriteSession, now: number): Promise<void> {
  await session.insert(projects, {
    ...blank,
    id: DEFAULT_DOMAIN,
    name: 'Default',
    domain_id: '',
    parent_id: null,
    is_domain: true,
    enabled: true,
    description: 'The default domain',
    created_at: now,
  });
}

async function makeRoles(session: WriteSession, now: number): Promise<void> {
  const ids = { admin: identityId(), member: identityId(), reader: identityId() };
  const rows = Object.entries(ids).map(([name, id]) => ({
    ...blank,
    id,
    name,
    domain_id: '',
    description: null,
    // Without them nobody could manage the cloud; an administrator can take the option back.
    options: { immutable: true },
    created_at: now,
  }));
  await session.insert(roles, rows);
  await session.insert(impliedRoles, [
    { prior_role_id: ids.admin, implied_role_id: ids.member },
    { prior_role_id: ids.member, implied_role_id: ids.reader },
  ]);
}

async function makeCatalog(session: WriteSession, region: string): Promise<void> {
  await session.insert(regions, { id: region, parent_region_id: null, description: '', extra: {} });
  for (const { type, name, url } of SERVICES) {
    const id = identityId();
    await session.insert(catalogServices, { id, type, name, description: null, enabled: true, extra: {} });
    for (const face of ['public', 'internal', 'admin']) {
      const endpoint = {
        id: identityId(),
        service_id: id,
        interface: face,
        region_id: region,
        url,
        enabled: true,
        extra: {},
      };
      await session.insert(catalogEndpoints, endpoint);
    }
  }
}

async function makeAdmin(session: WriteSession, password_hash: string, now: number): Promise<void> {
  const project = { ...blank, id: identityId(), name: 'admin', domain_id: DEFAULT_DOMAIN, parent_id: DEFAULT_DOMAIN };
  await session.insert(projects, { ...project, is_domain: false, enabled: true, created_at: now });
  const user = { ...blank, id: identityId(), name: 'admin', domain_id: DEFAULT_DOMAIN, default_project_id: null };
  await session.insert(users, { ...user, enabled: true, description: null, password_hash, created_at: now });
  const role = await session.findOne(roles, { name: 'admin', domain_id: '' });
  if (!role) throw new Error('the role admin is missing');
  const grant = { actor_type: 'user', actor_id: user.id, role_id: role.id, inherited: false };
  await session.insert(assignments, [
    { ...grant, target_type: 'project', target_id: project.id },
    { ...grant, target_type: 'system', target_id: 'all' },
  ]);
}

/**
 * Makes what is missing. The administrator is made when the bootstrap file is first seen; later changes of that file change nothing.
 * @throws ConfigError for a bootstrap file that can't be read
 */
export async function bootstrap(
  db: Database,
  passwords: Passwords,
  options: { readonly region: string; readonly file: string | null; readonly now: number },
): Promise<void> {
  const [domains, people] = await db.read(async (session) => [
    await session.count(projects, { id: DEFAULT_DOMAIN }),
    await session.count(users),
  ]);
  const wanted = people === 0 && options.file !== null ? readPassword(options.file) : undefined;
  const hash = wanted === undefined ? undefined : await passwords.hash(wanted);
  if (domains > 0 && hash === undefined) return;
  // Another controller may do the same at this moment; then all of it is there.
  await orElseDone(() =>
    db.write(async (session) => {
      if ((await session.count(projects, { id: DEFAULT_DOMAIN })) === 0) {
        await makeDomain(session, options.now);
        await makeRoles(session, options.now);
        await makeCatalog(session, options.region);
      }
      if (hash !== undefined && (await session.count(users)) === 0) await makeAdmin(session, hash, options.now);
    }),
  );
}
