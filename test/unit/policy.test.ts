// The policy as a whole: rule sets on top of each other, what a caller is seen as, and an administrator's file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseRules, createPolicy, loadPolicyFile } from '../../controller/src/services/policy/policy';
import { testCaller } from '../support/testCloud';

const admin = testCaller('admin', ['admin', 'member', 'reader']);
const member = testCaller('member', ['member', 'reader']);
const reader = testCaller('reader', ['reader'], { projectId: 'member-project' });
const none = { projectId: null, projectName: null, projectDomainId: null };
const domainAdmin = testCaller('boss', ['admin'], { ...none, domainId: 'land' });
const systemReader = testCaller('watch', ['reader'], { ...none, systemScope: true });
const own = { project_id: 'member-project' };

test.each([
  ['admin', [true, false, false, false, false]],
  ['owner', [false, true, true, false, false]],
  ['project_member', [false, true, false, false, false]],
  ['project_reader', [false, true, true, false, false]],
  ['admin_or_member', [true, true, false, false, false]],
  ['admin_or_reader', [true, true, true, false, true]],
  ['nobody_defined_it', [false, false, false, false, false]],
])('%s allows admin, member, reader, domain admin, system reader: %j', (rule, expected) => {
  const policy = createPolicy(baseRules);
  expect([admin, member, reader, domainAdmin, systemReader].map((caller) => policy.allows(caller, rule, own))).toEqual(
    expected,
  );
});

test('a refusal names the rule and nothing else', () => {
  const policy = createPolicy(baseRules);
  expect(() => policy.require(member, 'admin')).toThrow("Policy doesn't allow admin to be performed.");
  expect(() => policy.require(admin, 'admin')).not.toThrow();
});

test('scopes are facts that rules can ask for', () => {
  const policy = createPolicy({
    in_domain: 'domain_id:%(domain_id)s',
    in_system: 'system_scope:all',
    home: 'user_domain_id:default',
    is_admin: 'is_admin:True',
    unscoped: 'None:%(nothing)s',
  });
  expect(policy.allows(domainAdmin, 'in_domain', { domain_id: 'land' })).toBe(true);
  expect(policy.allows(domainAdmin, 'in_domain', { domain_id: 'sea' })).toBe(false);
  expect(policy.allows(member, 'in_domain', { domain_id: null })).toBe(false);
  expect(policy.allows(systemReader, 'in_system')).toBe(true);
  expect(policy.allows(member, 'home')).toBe(true);
  expect(policy.allows(admin, 'is_admin')).toBe(true);
  expect(policy.allows(member, 'unscoped')).toBe(true);
  expect(policy.allows(member, 'unscoped', { nothing: 'x' })).toBe(false);
});

test('later rules override earlier ones, also where others use them', () => {
  const policy = createPolicy({ base: '!', use: 'rule:base' }, { base: 'role:member' });
  expect(policy.allows(member, 'use')).toBe(true);
  expect(policy.allows(systemReader, 'use')).toBe(false);
});

test('a rule that uses an unknown one is refused when the policy is made', () => {
  expect(() => createPolicy({ a: 'rule:b or role:x' })).toThrow('a uses rule:b, which does not exist');
});

describe('an administrator’s file', () => {
  let directory: string;
  beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'cumulet-policy-'))));
  afterEach(() => rmSync(directory, { recursive: true }));
  const load = (text: string) => {
    const path = join(directory, 'policy.yaml');
    writeFileSync(path, text);
    return loadPolicyFile(path, { admin: '@', 'identity:list_users': '@' });
  };

  test('overrides rules by name', () => {
    expect(load('# none\n')).toEqual({});
    expect(load('"identity:list_users": "role:auditor"\nadmin: "!"\n')).toEqual({
      'identity:list_users': 'role:auditor',
      admin: '!',
    });
  });

  test('may have rules of its own that its rules use', () => {
    const rules = { 'identity:list_users': 'rule:auditors', auditors: 'role:auditor' };
    expect(load(JSON.stringify(rules))).toEqual(rules);
  });

  test.each([
    ['- a\n- b\n', 'expected "rule name: rule" lines'],
    ['words', 'expected "rule name: rule" lines'],
    ['a: [b]', 'the rule of a is not a text'],
    ['a: "b', 'policy file'],
    ['"identity:lst_users": "@"', "unknown rule 'identity:lst_users' (--print-policy lists the names)"],
    ['constructor: "@"\nadmn: "!"', "unknown rule 'constructor', 'admn'"],
  ])('with %j is refused', (text, message) => {
    expect(() => load(text)).toThrow(message);
  });

  test('that is missing is named', () => {
    expect(() => loadPolicyFile(join(directory, 'none.yaml'), {})).toThrow('none.yaml');
  });
});
