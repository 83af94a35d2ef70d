// The pure parts of identity: which roles somebody ends up with, what is revoked, what a catalog looks like.
import type { Assignment, ImpliedRole, Project, Role } from '../../controller/src/db/entities/identity';
import { absoluteUrl, buildCatalog } from '../../controller/src/services/identity/catalog';
import { factorsSuffice } from '../../controller/src/services/identity/login';
import { createRevocations, type Revocation } from '../../controller/src/services/identity/revocations';
import { effectiveAssignments, projectsBelow } from '../../controller/src/services/identity/roleAssignments';
import {
  effectiveRoles,
  impliedClosure,
  reaches,
  targetsOf,
} from '../../controller/src/services/identity/roleExpansion';
import type { TokenClaims } from '../../controller/src/services/identity/tokenFormat';

const implied = (...pairs: [string, string][]): ImpliedRole[] =>
  pairs.map(([prior_role_id, implied_role_id]) => ({ prior_role_id, implied_role_id }));
const role = (id: string, domain_id = ''): Role => ({
  id,
  name: id,
  domain_id,
  description: null,
  options: {},
  extra: {},
  created_at: 0,
});
const assignment = (changes: Partial<Assignment>): Assignment => ({
  actor_type: 'user',
  actor_id: 'u',
  target_type: 'project',
  target_id: 'p',
  role_id: 'r',
  inherited: false,
  ...changes,
});
const project = (id: string, parent_id: string | null): Project => ({
  id,
  parent_id,
  name: id,
  domain_id: 'd',
  is_domain: parent_id === null,
  enabled: true,
  description: null,
  options: {},
  extra: {},
  created_at: 0,
});

test.each([
  ['nothing', [], ['a']],
  ['a chain', implied(['a', 'b'], ['b', 'c']), ['a', 'b', 'c']],
  ['a fork that joins', implied(['a', 'b'], ['a', 'c'], ['b', 'd'], ['c', 'd']), ['a', 'b', 'c', 'd']],
  ['a ring', implied(['a', 'b'], ['b', 'a']), ['a', 'b']],
])('the closure of %s has each role once', (_what, rules, expected) => {
  expect(impliedClosure('a', rules)).toEqual(expected);
});

test('what counts in a scope', () => {
  expect(targetsOf({ kind: 'unscoped' }, [])).toBeUndefined();
  const inProject = targetsOf({ kind: 'project', id: 'p' }, ['up', 'd']);
  const inDomain = targetsOf({ kind: 'domain', id: 'd' }, []);
  const inSystem = targetsOf({ kind: 'system' }, []);
  if (!inProject || !inDomain || !inSystem) throw new Error('a scope has a target');
  const direct = assignment({});
  const fromAbove = assignment({ target_id: 'up', inherited: true });
  const ofDomain = assignment({ target_type: 'domain', target_id: 'd', inherited: true });
  const ownBelow = assignment({ inherited: true });
  const onDomain = assignment({ target_type: 'domain', target_id: 'd' });
  const onSystem = assignment({ target_type: 'system', target_id: 'all' });
  const all = [direct, fromAbove, ofDomain, ownBelow, onDomain, onSystem];
  expect(all.map((one) => reaches(one, inProject))).toEqual([true, true, true, false, false, false]);
  expect(all.map((one) => reaches(one, inDomain))).toEqual([false, false, false, false, true, false]);
  expect(all.map((one) => reaches(one, inSystem))).toEqual([false, false, false, false, false, true]);
});

test('a role of a domain gives only what it implies', () => {
  const target = { type: 'project', id: 'p', above: [] };
  const found = effectiveRoles([assignment({ role_id: 'local' })], target, implied(['local', 'global']), [
    role('global'),
    role('local', 'd'),
    role('other'),
  ]);
  expect(found.map((one) => one.id)).toEqual(['global']);
});

test('assignments in effect: a group that inherits on a domain', () => {
  const facts = {
    assignments: [
      assignment({ actor_type: 'group', actor_id: 'g', target_type: 'domain', target_id: 'd', inherited: true }),
    ],
    members: [
      { group_id: 'g', user_id: 'u1' },
      { group_id: 'other', user_id: 'u2' },
    ],
    projects: [project('d', null), project('top', 'd'), project('below', 'top')],
    implied: implied(['r', 's']),
    roles: [role('r'), role('s')],
  };
  expect(projectsBelow('d', facts.projects)).toEqual(['top', 'below']);
  const lines = effectiveAssignments(facts);
  expect(lines.map((line) => [line.assignment.actor_id, line.assignment.target_id, line.assignment.role_id])).toEqual([
    ['u1', 'top', 'r'],
    ['u1', 'top', 's'],
    ['u1', 'below', 'r'],
    ['u1', 'below', 's'],
  ]);
  expect(lines[1]).toMatchObject({ viaGroup: 'g', from: { type: 'domain', id: 'd' }, priorRole: 'r' });
});

const claims = (changes: Partial<TokenClaims> = {}): TokenClaims => ({
  userId: 'u',
  scope: { kind: 'project', id: 'p' },
  methods: ['password'],
  auditIds: ['own', 'first'],
  issuedAt: 100,
  expiresAt: 200,
  ...changes,
});
const domains = { userDomainId: 'home', projectDomainId: 'land' };
const nothing: Revocation = {
  audit_id: null,
  audit_chain_id: null,
  user_id: null,
  project_id: null,
  domain_id: null,
  issued_before: null,
};

test.each<[string, Partial<Revocation>, boolean]>([
  ['its audit id', { audit_id: 'own' }, true],
  ['the audit id of its first token', { audit_id: 'first' }, false],
  ['its chain', { audit_chain_id: 'first' }, true],
  ['another chain', { audit_chain_id: 'own' }, false],
  ['its user, before', { user_id: 'u', issued_before: 99 }, false],
  ['its user, at that time', { user_id: 'u', issued_before: 100 }, true],
  ['its user, without a time', { user_id: 'u' }, false],
  ['another user', { user_id: 'x', issued_before: 200 }, false],
  ['its project', { project_id: 'p', issued_before: 150 }, true],
  ['the domain of its user', { domain_id: 'home', issued_before: 150 }, true],
  ['the domain of its project', { domain_id: 'land', issued_before: 150 }, true],
  ['another domain', { domain_id: 'sea', issued_before: 150 }, false],
])('a token and a revocation of %s', (_what, revocation, expected) => {
  const revocations = createRevocations();
  revocations.add({ ...nothing, ...revocation }, 1000);
  expect(revocations.revoked(claims(), domains)).toBe(expected);
  revocations.forget(1001);
  expect(revocations.revoked(claims(), domains)).toBe(false);
});

test('revocations: the first token of a chain, a domain scope, none at all, and the later of two', () => {
  const revocations = createRevocations();
  expect(revocations.revoked(claims({ auditIds: [] }), domains)).toBe(true);
  expect(revocations.revoked(claims({ scope: { kind: 'system' } }), { ...domains, projectDomainId: null })).toBe(false);
  revocations.add({ ...nothing, audit_chain_id: 'root' }, 5);
  expect(revocations.revoked(claims({ auditIds: ['root'] }), domains)).toBe(true);
  revocations.add({ ...nothing, domain_id: 'd', issued_before: 150 }, 5);
  revocations.add({ ...nothing, domain_id: 'd', issued_before: 50 }, 4);
  const inDomain = claims({ scope: { kind: 'domain', id: 'd' } });
  expect(revocations.revoked(inDomain, domains)).toBe(true);
  expect(revocations.issuedBefore(inDomain, domains)).toBe(150);
  revocations.forget(5);
  expect(revocations.revoked(inDomain, domains)).toBe(true);
});

test.each([
  ['/image', 'http://a', 'http://a/image'],
  ['https://b/x', 'http://a', 'https://b/x'],
])('the URL %s seen from %s', (url, origin, expected) => {
  expect(absoluteUrl(url, origin)).toBe(expected);
});

test('a catalog leaves out what is disabled and fills in what a URL asks for', () => {
  const service = (id: string, enabled = true) => ({ id, type: id, name: null, description: null, enabled, extra: {} });
  const endpoint = (id: string, service_id: string, url: string, enabled = true) => ({
    id,
    service_id,
    interface: 'public',
    region_id: null,
    url,
    enabled,
    extra: {},
  });
  const rows = {
    services: [service('s'), service('off', false)],
    endpoints: [
      endpoint('a', 's', '/v/$(tenant_id)s/%(user_id)s'),
      endpoint('b', 's', '/w', false),
      endpoint('c', 'off', '/x'),
      endpoint('d', 's', '/y/$(other)s'),
    ],
  };
  const urls = (projectId: string | null) =>
    buildCatalog(rows, 'http://h', { projectId, userId: 'u' }).map((one) => [
      one.type,
      one.name,
      one.endpoints.map((e) => e.url),
    ]);
  expect(urls('p')).toEqual([['s', '', ['http://h/v/p/u', 'http://h/y/$(other)s']]]);
  expect(urls(null)).toEqual([['s', '', ['http://h/y/$(other)s']]]);
});

test.each([
  [{}, ['password'], true],
  [{ multi_factor_auth_enabled: true }, ['password'], true],
  [{ multi_factor_auth_enabled: true, multi_factor_auth_rules: [] }, ['password'], true],
  [{ multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'totp']] }, ['password'], false],
  [{ multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'totp'], ['token']] }, ['token'], true],
  [{ multi_factor_auth_rules: [['totp']] }, ['password'], true],
])('factors: %j with %j', (options, methods, expected) => {
  expect(factorsSuffice({ options }, methods)).toBe(expected);
});
