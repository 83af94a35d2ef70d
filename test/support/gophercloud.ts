// The wire side of gophercloud 2, which Terraform uses, and as strict: a status code, type or time that it would not take is an error here.
import { goTypes, unreadable, type Shape } from './goTypes';

/** Status codes that are taken when a call lists none. */
const DEFAULT_CODES: Readonly<Record<string, readonly number[]>> = {
  GET: [200],
  HEAD: [200],
  POST: [201, 202],
  PUT: [201, 202],
  PATCH: [200, 202, 204],
  DELETE: [202, 204],
};
const GOOD_STATUS = ['current', 'supported', 'stable'];
const KNOWN_STATUS = ['CURRENT', 'SUPPORTED', 'DEPRECATED', 'STABLE', ''];
const VERSION = /^v?(\d+)(\.\d+)?$/;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
type Body = any;

/** A status code that the call does not list. */
export class UnexpectedCode extends Error {
  constructor(
    readonly status: number,
    call: string,
    expected: readonly number[],
    text: string,
  ) {
    super(`${call}: expected ${expected.join(' or ')}, got ${status}: ${text}`);
  }
}

interface Call {
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, under `type`. */
  readonly raw?: string | Buffer;
  readonly type?: string;
  /** The status codes that the call lists instead of the usual ones. */
  readonly codes?: readonly number[];
  /** The member of the answer that is returned; without it the answer is not read as JSON. */
  readonly member?: string;
  /** What the member is read into. */
  readonly shape?: Shape;
}

/** A client of one service. */
export interface GoService {
  readonly base: string;
  /** One request below the service's base. @throws UnexpectedCode, and Error for what Go could not read */
  call(method: string, path: string, call?: Call): Promise<Body>;
  /** All pages of a list, by the links that the service gives. */
  list(path: string, member: string, shape: Shape): Promise<Body[]>;
  /** The same client with a compute microversion. */
  at(microversion: string): GoService;
}

export interface GoProvider {
  readonly userId: string;
  readonly projectId: string;
  service(type: 'identity' | 'image' | 'compute' | 'network'): Promise<GoService>;
}

const withSlash = (url: string): string => (url.endsWith('/') ? url : `${url}/`);
/** The URL up to its version. */
const withoutVersion = (url: string): string => withSlash(url.replace(/\/v[0-9.]+\/?.*$/, ''));

async function exchange(method: string, url: string, token: string, call: Call, more: Record<string, string> = {}) {
  const body = call.json === undefined ? call.raw : JSON.stringify(call.json);
  const answer = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      accept: 'application/json',
      ...(token ? { 'x-auth-token': token } : {}),
      ...(body === undefined ? {} : { 'content-type': call.type ?? 'application/json' }),
      ...more,
    },
    ...(body === undefined ? {} : { body: body as string }),
  });
  const text = await answer.text();
  const codes = call.codes ?? DEFAULT_CODES[method] ?? [];
  if (!codes.includes(answer.status)) throw new UnexpectedCode(answer.status, `${method} ${url}`, codes, text);
  if (call.member === undefined || answer.status === 204) return { answer, whole: undefined as Body };
  const whole: Body = JSON.parse(text);
  const value: unknown = call.member === '' ? whole : whole[call.member];
  const wrong = call.shape === undefined ? [] : unreadable(call.shape, value, call.member);
  if (wrong.length > 0) throw new Error(`${method} ${url}: ${wrong.join('; ')}`);
  return { answer, whole, value: value as Body };
}

/** The major versions that a root document lists. @throws Error when a version or status is unknown to Go */
async function majorVersions(url: string, token: string): Promise<number[]> {
  const { whole } = await exchange('GET', url, token, { codes: [200, 300], member: '' });
  const listed: Body[] = Array.isArray(whole.versions) ? whole.versions : (whole.versions?.values ?? [whole.version]);
  return listed.map(({ id, status }) => {
    const found = VERSION.exec(id as string);
    if (!found || !KNOWN_STATUS.includes((status as string).toUpperCase()))
      throw new Error(`${url}: version ${id as string} with status ${status as string}`);
    return Number(found[1]);
  });
}

function serviceClient(token: string, base: string, nextOf: (page: Body, member: string) => string, version?: string) {
  const headers =
    version === undefined
      ? {}
      : { 'x-openstack-nova-api-version': version, 'openstack-api-version': `compute ${version}` };
  const service: GoService = {
    base,
    async call(method, path, call = {}) {
      return (await exchange(method, base + path, token, call, headers)).value;
    },
    async list(path, member, shape) {
      const all: Body[] = [];
      for (let url = base + path; url;) {
        const { whole, value } = await exchange('GET', url, token, { member, shape: [shape] }, headers);
        if ((value as Body[]).length === 0) break;
        all.push(...(value as Body[]));
        url = nextOf(whole, member);
      }
      return all;
    },
    at: (microversion) => serviceClient(token, base, nextOf, microversion),
  };
  return service;
}

/** The identity endpoint that an OS_AUTH_URL leads to: itself when it names the version, else what the document there says. */
async function identityEndpoint(authUrl: string): Promise<string> {
  if (withSlash(authUrl).endsWith('/v3/')) return withSlash(authUrl);
  const url = withoutVersion(withSlash(authUrl));
  const { whole } = await exchange('GET', url, '', { codes: [200, 300], member: '' });
  const version: Body = (whole.versions.values as Body[]).find(
    ({ id, status }) => (id as string).includes('v3') && GOOD_STATUS.includes((status as string).toLowerCase()),
  );
  const href: string | undefined = version?.links.find(({ rel }: Body) => rel === 'self')?.href;
  if (href === undefined) throw new Error(`no identity version 3 at ${url}`);
  return withSlash(href);
}

export interface Account {
  readonly userName: string;
  readonly password: string;
  readonly projectName: string;
}

/** Logs in with a password, scoped to a project of the default domain. */
export async function connect(authUrl: string, { userName, password, projectName }: Account): Promise<GoProvider> {
  const domain = { id: 'default' };
  const endpoint = await identityEndpoint(authUrl);
  const { answer, value } = await exchange('POST', `${endpoint}auth/tokens`, '', {
    json: {
      auth: {
        identity: { methods: ['password'], password: { user: { name: userName, password, domain } } },
        scope: { project: { name: projectName, domain } },
      },
    },
    codes: [201],
    member: 'token',
    shape: goTypes.token,
  });
  const token = answer.headers.get('x-subject-token') ?? '';
  if (!token) throw new Error('no X-Subject-Token');
  const { catalog, project, user }: Body = value;

  async function endpointOf(type: string, major: number): Promise<string> {
    for (const entry of catalog)
      for (const one of entry.type === type ? entry.endpoints : []) {
        if (one.interface !== 'public') continue;
        const url = withSlash(one.url as string);
        const named = VERSION.exec(new URL(url).pathname.split('/').at(-2) ?? '');
        const majors = major === 0 ? [0] : named ? [Number(named[1])] : await majorVersions(url, token);
        if (majors.includes(major)) return url;
      }
    throw new Error(`no endpoint of ${type} with version ${major}`);
  }
  const links = (page: Body, member: string): string =>
    page[`${member}_links`]?.find(({ rel }: Body) => rel === 'next')?.href ?? '';

  return {
    userId: user.id,
    projectId: project.id,
    async service(type) {
      switch (type) {
        case 'identity': {
          const base = `${withoutVersion(await endpointOf('identity', 0))}v3/`;
          return serviceClient(token, base, (page: Body) => page.links?.next ?? '');
        }
        case 'image': {
          const root = await endpointOf('image', 2);
          return serviceClient(token, `${root}v2/`, ({ next }: Body) =>
            next ? withoutVersion(root) + (next as string).replace(/^\//, '') : '',
          );
        }
        case 'compute':
          return serviceClient(token, await endpointOf('compute', 2), links);
        case 'network':
          return serviceClient(token, `${await endpointOf('network', 2)}v2.0/`, links);
      }
    },
  };
}
