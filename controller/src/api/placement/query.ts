// What queries of the placement API ask: amounts, traits and aggregates in their own small languages, stricter than other services'.
import { isUuid } from '@cumulet/common';
import type { ReadSession } from '../../db';
import { InvalidError } from '../../errors';
import { anything, type RequestGroup } from '../../services/placement/candidates';
import { listResourceClasses } from '../../services/placement/resourceClasses';
import { unknownTraits } from '../../services/placement/traits';
import { queryValue } from '../query';
import type { ApiRequest } from '../route';

const invalid = (why: string): InvalidError => new InvalidError(`Invalid query string parameters: ${why}.`);

/** @throws InvalidError for a key that is not known */
export function requireKeys(request: ApiRequest, isKnown: (key: string) => boolean): void {
  const unknown = [...request.query.keys()].filter((key) => !isKnown(key));
  if (unknown.length > 0) throw invalid(`${unknown.map((key) => `'${key}'`).join(', ')} is not known here`);
}

/** "VCPU:2,MEMORY_MB:512". @throws InvalidError */
function parseResources(text: string): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const part of text.split(',')) {
    const [, name, amount] = /^([^:]+):\s*(\d{1,15})\s*$/.exec(part) ?? [];
    if (name === undefined || Number(amount) < 1)
      throw new InvalidError(
        `Badly formed resources parameter. Expected whole numbers of at least 1 in the form VCPU:2,MEMORY_MB:1024, got: '${part}'.`,
      );
    amounts.set(name, Number(amount));
  }
  return amounts;
}

interface Traits {
  readonly required: readonly (readonly string[])[];
  readonly forbidden: readonly string[];
}

/** "HW_A,!CUSTOM_B", or "in:HW_A,HW_C" from 1.39 on. @throws InvalidError */
export function parseTraits(text: string, minor: number): Traits {
  const any = text.startsWith('in:');
  const words = (any ? text.slice(3) : text).split(',').map((word) => word.trim());
  const names = words.map((word) => word.replace(/^!+/, ''));
  const form = minor >= 22 ? 'HW_CPU_X86_VMX,!CUSTOM_MAGIC' : 'HW_CPU_X86_VMX,CUSTOM_MAGIC';
  if (any && minor < 39) throw invalid(`'in:' begins a list of traits from microversion 1.39 on only, got '${text}'`);
  if (names.includes('')) throw invalid(`expected 'required' in the form ${form}, got an empty trait in '${text}'`);
  const forbidden = names.filter((_name, at) => words[at]?.startsWith('!'));
  if (forbidden.length > 0 && any) throw invalid(`'in:' does not go with forbidden traits, got '${text}'`);
  if (forbidden.length > 0 && minor < 22) throw invalid(`expected 'required' in the form ${form}, got '${text}'`);
  if (any) return { required: [names], forbidden };
  return { required: names.filter((_name, at) => !words[at]?.startsWith('!')).map((name) => [name]), forbidden };
}

/** All values of `required`; before 1.39 the last one counts. @throws InvalidError */
function requiredOf({ query, microversion: { minor } }: ApiRequest, key: string): Traits {
  const values = query.get(key) ?? [];
  const parsed = (minor >= 39 ? values : values.slice(-1)).map((value) => parseTraits(value, minor));
  return {
    required: parsed.flatMap(({ required }) => required),
    forbidden: parsed.flatMap(({ forbidden }) => forbidden),
  };
}

/** One UUID, or "in:" and several; with "!" before it: in none of them, from 1.32 on. @throws InvalidError */
function parseMemberOf(text: string, minor: number): { readonly not: boolean; readonly uuids: readonly string[] } {
  const [, not = '', many, rest = ''] = /^(!?)(in:)?(.*)$/s.exec(text) ?? [];
  const uuids = rest.split(',');
  if (many === undefined && uuids.length > 1)
    throw new InvalidError(`Multiple values for 'member_of' must be prefixed with 'in:' or '!in:', got: ${text}.`);
  const wrong = uuids.find((uuid) => !isUuid(uuid));
  if (wrong !== undefined) throw invalid(`expected 'member_of' to have valid UUIDs, got '${wrong}'`);
  if (not !== '' && minor < 32)
    throw new InvalidError('Forbidden member_of parameters are not supported in the specified microversion.');
  return { not: not !== '', uuids };
}

/** All values of `member_of`, which may be repeated from 1.24 on. @throws InvalidError */
function memberOf(request: ApiRequest, key: string): Pick<RequestGroup, 'memberOf' | 'notMemberOf'> {
  const { minor } = request.microversion;
  const values = request.query.get(key) ?? [];
  if (values.length > 1 && minor < 24) throw new InvalidError(`Multiple ${key} parameters are not supported.`);
  const parsed = values.map((value) => parseMemberOf(value, minor));
  return {
    memberOf: parsed.filter(({ not }) => !not).map(({ uuids }) => uuids),
    notMemberOf: parsed.filter(({ not }) => not).flatMap(({ uuids }) => uuids),
  };
}

/** @throws InvalidError for what is no UUID */
export function uuidOf(request: ApiRequest, key: string): string | undefined {
  const value = queryValue(request.query, key);
  if (value !== undefined && !isUuid(value)) throw invalid(`expected '${key}' to be a UUID, got '${value}'`);
  return value;
}

/** What is asked under a suffix; '' is the group without one. @throws InvalidError */
export function groupOf(request: ApiRequest, suffix = ''): RequestGroup {
  const resources = queryValue(request.query, `resources${suffix}`);
  return {
    ...anything,
    ...(resources === undefined ? {} : { resources: parseResources(resources) }),
    ...requiredOf(request, `required${suffix}`),
    ...memberOf(request, `member_of${suffix}`),
    inTree: uuidOf(request, `in_tree${suffix}`),
  };
}

/** @throws InvalidError for names of resource classes and traits that nobody knows */
export async function requireNames(
  session: ReadSession,
  groups: readonly Pick<RequestGroup, 'resources' | 'required' | 'forbidden'>[],
): Promise<void> {
  const asked = new Set(groups.flatMap(({ resources }) => [...resources.keys()]));
  const known = asked.size > 0 ? (await listResourceClasses(session)).map(({ name }) => name) : [];
  const noClass = [...asked].filter((name) => !known.includes(name));
  if (noClass.length > 0)
    throw new InvalidError(`Invalid resource class in resources parameter: no such resource class ${noClass.join()}.`);
  const traits = groups.flatMap(({ required, forbidden }) => [...required.flat(), ...forbidden]);
  const noTrait = await unknownTraits(session, traits);
  if (noTrait.length > 0) throw new InvalidError(`No such trait(s): ${noTrait.join(', ')}.`);
}
