// The policy language: what a rule written in a policy file means.
import { parseExpression, type PolicyFacts } from '../../controller/src/services/policy/expression';

const facts: PolicyFacts = {
  credentials: { project_id: 'p1', user_id: 'u1', system_scope: null },
  roles: ['member'],
  target: { project_id: 'p1', visibility: 'public', other: 'p2', shared: true },
};
const holds = (source: string): boolean => parseExpression(source)(facts, () => () => true);

test.each([
  ['', true],
  ['@', true],
  ['!', false],
  ['role:member', true],
  ['role:MEMBER', true],
  ['role:admin', false],
  ['project_id:%(project_id)s', true],
  ['project_id:%(other)s', false],
  ['project_id:%(missing)s', false],
  ['system_scope:%(missing)s', false],
  ['user_id:u1', true],
  ["'public':%(visibility)s", true],
  ["'private':%(visibility)s", false],
  ["'true':%(shared)s", true],
  ['rule:any', true],
  ['not role:admin', true],
  ['role:admin or role:member and project_id:%(other)s', false],
  ['(role:admin or role:member) and project_id:%(project_id)s', true],
  ['role:member and (project_id:%(other)s or project_id:%(project_id)s)', true],
])('"%s" is %s', (source, expected) => {
  expect(holds(source)).toBe(expected);
});

test.each([
  ['role:member and', 'something is missing at the end'],
  ['(role:member', "missing ')'"],
  ['role:member)', "unexpected ')'"],
  [')', "unexpected ')'"],
  ['member', '\'member\' in "member" is not a check'],
])('"%s" is refused', (source, problem) => {
  expect(() => parseExpression(source)).toThrow(problem);
});
