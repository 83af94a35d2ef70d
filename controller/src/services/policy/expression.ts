// The language of policy rules, as in oslo.policy: role:, rule:, key:%(attribute)s, 'text':%(attribute)s, None:%(attribute)s,
// and, or, not, parentheses, @ and !.
import { ConfigError } from '@cumulet/common';

/** What a check looks at: the caller's credentials and the attributes of the thing that is acted on. */
export interface PolicyFacts {
  readonly credentials: Readonly<Record<string, string | null>>;
  readonly roles: readonly string[];
  readonly target: Readonly<Record<string, unknown>>;
}

export type Check = (facts: PolicyFacts, rule: (name: string) => Check) => boolean;

function tokens(text: string): string[] {
  // A word may contain %(attribute)s; every other parenthesis stands alone.
  return text.match(/\(|\)|(?:%\([^)]*\)s|[^\s()])+/g) ?? [];
}

function attribute(template: string, facts: PolicyFacts): unknown {
  const named = /^%\(([^)]+)\)s$/.exec(template);
  return named?.[1] === undefined ? template : facts.target[named[1]];
}

function atom(token: string, source: string): Check {
  if (token === '@') return () => true;
  if (token === '!') return () => false;
  const colon = token.indexOf(':');
  if (colon < 1)
    throw new ConfigError(`policy: '${token}' in "${source}" is not a check; write role:NAME, rule:NAME or key:value`);
  const key = token.slice(0, colon);
  const value = token.slice(colon + 1);
  if (key === 'role') return (facts) => facts.roles.includes(value.toLowerCase());
  if (key === 'rule') return (facts, rule) => rule(value)(facts, rule);
  if (key === 'None') return (facts) => (attribute(value, facts) ?? null) === null;
  const literal = /^'(.*)'$/.exec(key)?.[1];
  return (facts) => {
    const left = literal ?? facts.credentials[key] ?? null;
    const right = attribute(value, facts);
    const comparable = typeof right === 'string' || typeof right === 'boolean' || typeof right === 'number';
    return left !== null && comparable && left === String(right);
  };
}

/** Parses a rule. An empty rule allows everybody. @throws ConfigError that shows the rule. */
export function parseExpression(source: string): Check {
  const words = tokens(source);
  let at = 0;
  const fail = (why: string): never => {
    throw new ConfigError(`policy: ${why} in "${source}"`);
  };
  const primary = (): Check => {
    const word = words[at++];
    if (word === undefined) return fail('something is missing at the end');
    if (word === ')') return fail("unexpected ')'");
    if (word === 'not') {
      const inner = primary();
      return (facts, rule) => !inner(facts, rule);
    }
    if (word !== '(') return atom(word, source);
    const inner = either();
    if (words[at++] !== ')') fail("missing ')'");
    return inner;
  };
  const both = (): Check => {
    let left = primary();
    while (words[at] === 'and') {
      at++;
      const [one, two] = [left, primary()];
      left = (facts, rule) => one(facts, rule) && two(facts, rule);
    }
    return left;
  };
  const either = (): Check => {
    let left = both();
    while (words[at] === 'or') {
      at++;
      const [one, two] = [left, both()];
      left = (facts, rule) => one(facts, rule) || two(facts, rule);
    }
    return left;
  };
  if (words.length === 0) return () => true;
  const check = either();
  if (at < words.length) fail(`unexpected '${words[at] ?? ''}'`);
  return check;
}
