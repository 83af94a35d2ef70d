// A signed-in caller of the public APIs: token by password, endpoints by catalog, errors in words with the request id.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Readable } from 'node:stream';
import type { Settings } from './cloudsConfig';
import type { Row } from './command';
import { CliError, HttpError } from './errors';
import { headerOf, send, type Answer } from './http';
import { askPassword } from './prompt';

export type Service = 'identity' | 'image' | 'compute' | 'network' | 'placement' | 'cumulet';
type Query = Readonly<Record<string, unknown>>;

/** What precedes the paths where the catalog names a service without version. */
const VERSION: Readonly<Record<Service, string>> = {
  identity: '/v3',
  image: '/v2',
  compute: '/v2.1',
  network: '/v2.0',
  placement: '',
  cumulet: '',
};
const COMPUTE_VERSION = '2.79';
/** The newest one of the placement API that its own client negotiates. */
const PLACEMENT_VERSION = '1.29';

export interface CatalogEntry extends Row {
  readonly type: string;
  readonly name?: string;
  readonly endpoints: readonly { readonly interface: string; readonly region?: string; readonly url: string }[];
}

export interface Token {
  readonly id: string;
  readonly issued_at: string;
  readonly expires_at: string;
  readonly user: { readonly id: string; readonly name: string; readonly domain?: { readonly name: string } };
  readonly project?: { readonly id: string; readonly name: string; readonly domain?: { readonly name: string } };
  readonly domain?: { readonly id: string };
  readonly catalog: readonly CatalogEntry[];
}

/** A body that is not JSON, or headers of its own. */
export interface Extra {
  readonly headers?: Readonly<Record<string, string>>;
  readonly stream?: Readable;
}

export interface Api {
  readonly settings: Settings;
  /** Whom to trust when it is asked by TLS. */
  readonly tls: { readonly ca?: string; readonly verify?: boolean };
  token(): Promise<Token>;
  /** Sends a request; the caller must read the answer to its end, or the process does not. @throws HttpError for an answer that is not success, CliError for none */
  send(service: Service, method: string, path: string, body?: unknown, extra?: Extra): Promise<Answer>;
  /** The JSON object of the answer; empty where it has none. */
  json(service: Service, method: string, path: string, body?: unknown, extra?: Extra): Promise<Row>;
  /** All rows of a list, page by page. */
  list(service: Service, path: string, key: string, query?: Query): Promise<Row[]>;
  /** A document that needs no token. */
  open(url: string): Promise<Row>;
}

const domainOf = (id: string | undefined, name: string | undefined): object =>
  id === undefined ? { name: name ?? 'Default' } : { id };

async function identityOf(settings: Settings): Promise<object> {
  if (settings.token !== undefined) return { methods: ['token'], token: { id: settings.token } };
  if (!settings.user_id && !settings.username)
    throw new CliError('no user is named: set OS_USERNAME or username in clouds.yaml');
  const user = settings.user_id
    ? { id: settings.user_id }
    : { name: settings.username, domain: domainOf(settings.user_domain_id, settings.user_domain_name) };
  const password = settings.password ?? (await askPassword('Password: '));
  if (password === undefined) throw new CliError('there is no password: set OS_PASSWORD or password in clouds.yaml');
  return { methods: ['password'], password: { user: { ...user, password } } };
}

/** The body of the request for a token. @throws CliError that names what is missing */
async function tokenRequest(settings: Settings): Promise<object> {
  const project = settings.project_id
    ? { id: settings.project_id }
    : settings.project_name && {
        name: settings.project_name,
        domain: domainOf(settings.project_domain_id, settings.project_domain_name),
      };
  const domain = (settings.domain_id ?? settings.domain_name) && domainOf(settings.domain_id, settings.domain_name);
  const scope = settings.system_scope
    ? { system: { all: true } }
    : project
      ? { project }
      : domain
        ? { domain }
        : undefined;
  return { auth: { identity: await identityOf(settings), ...(scope ? { scope } : {}) } };
}

function tlsOf(settings: Settings): { ca?: string; verify?: boolean } {
  const verify = !/^(true|1|yes)$/i.test(settings.insecure ?? '') && !/^(false|0|no)$/i.test(settings.verify ?? '');
  if (settings.cacert === undefined) return { verify };
  try {
    return { verify, ca: readFileSync(settings.cacert.replace(/^~(?=\/)/, homedir()), 'utf8') };
  } catch (error) {
    throw new CliError(`the certificates could not be read: ${(error as Error).message}`);
  }
}

/** A caller that signs in with its first request. */
export function createApi(settings: Settings): Api {
  const given = (settings.auth_url ?? '').replace(/\/+$/, '');
  const identity = given.endsWith('/v3') ? given : `${given}/v3`;
  const tls = tlsOf(settings);
  const exchange = (
    method: string,
    url: string,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    stream?: Readable,
  ): Promise<Answer> =>
    send({
      ...tls,
      method,
      url,
      headers: {
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(stream ? { body: stream } : body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  const signIn = async (): Promise<Token> => {
    const body = await tokenRequest(settings);
    try {
      const answer = await exchange('POST', `${identity}/auth/tokens`, {}, body);
      const { token } = JSON.parse(await answer.text()) as { token: Omit<Token, 'id'> };
      return { ...token, catalog: token.catalog ?? [], id: headerOf(answer, 'x-subject-token') ?? '' };
    } catch (error) {
      if (error instanceof SyntaxError) throw new CliError(`${identity} does not answer as an identity service`);
      if (!(error instanceof HttpError) || error.status !== 401) throw error;
      const who = settings.token === undefined ? (settings.username ?? settings.user_id ?? '') : 'the token';
      throw new HttpError(`${identity} refused ${who}: ${error.message}`, error.status);
    }
  };
  let signedIn: Promise<Token> | undefined;
  const token = (): Promise<Token> => (signedIn ??= signIn());

  const endpoint = async (service: Service): Promise<string> => {
    // Our own additions are not in the catalog, which lists OpenStack services.
    if (service === 'cumulet') return `${new URL(identity).origin}/cumulet/v1`;
    const kind = settings.interface?.replace(/URL$/, '') ?? 'public';
    const url = (await token()).catalog
      .find(({ type }) => type === service)
      ?.endpoints.find((each) => each.interface === kind && (settings.region_name ?? each.region) === each.region)
      ?.url.replace(/\/$/, '');
    if (url === undefined)
      throw new CliError(
        `the catalog of ${identity} has no ${kind} endpoint of the ${service} service${
          settings.region_name === undefined ? '' : ` in region ${settings.region_name}`
        }`,
      );
    return /\/v\d[\d.]*$/.test(url) ? url : url + VERSION[service];
  };

  const api: Api = {
    settings,
    tls,
    token,
    async send(service, method, path, body, extra = {}) {
      const { id } = await token();
      const headers: Record<string, string> = { 'X-Auth-Token': id };
      if (service === 'compute')
        headers['OpenStack-API-Version'] = `compute ${settings.compute_api_version ?? COMPUTE_VERSION}`;
      if (service === 'placement') headers['OpenStack-API-Version'] = `placement ${PLACEMENT_VERSION}`;
      const url = (await endpoint(service)) + path;
      return exchange(method, url, { ...headers, ...extra.headers }, body, extra.stream);
    },
    async json(service, method, path, body, extra) {
      const text = await (await api.send(service, method, path, body, extra)).text();
      return (text === '' ? {} : JSON.parse(text)) as Row;
    },
    async list(service, path, key, query = {}) {
      const rows: Row[] = [];
      // The image service gives 25 at a time unless asked for more.
      const pageSize = path === '/images' ? { limit: 1000 } : {};
      const wanted = Object.entries({ ...pageSize, ...query }).flatMap(([name, value]) =>
        value === undefined
          ? []
          : (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, String(one)]),
      );
      let search = wanted.length > 0 ? `?${new URLSearchParams(wanted).toString()}` : '';
      for (;;) {
        const body = await api.json(service, 'GET', path + search);
        rows.push(...((body[key] ?? []) as Row[]));
        const links = (body[`${key}_links`] ?? []) as { rel: string; href: string }[];
        const next = body['next'] ?? links.find(({ rel }) => rel === 'next')?.href;
        // Who asks for a limit wants one page. Only the query is taken from the link: the token goes nowhere but to the endpoint.
        if (typeof next !== 'string' || query['limit'] !== undefined) return rows;
        search = new URL(next, 'http://next').search;
      }
    },
    open: async (url) => JSON.parse(await (await exchange('GET', url, {}, undefined)).text()) as Row,
  };
  return api;
}
