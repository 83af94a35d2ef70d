// A signed-in caller of the public APIs: token by password, endpoints by catalog, errors in words with the request id.
import type { Settings } from './cloudsConfig';
import { CliError, HttpError } from './errors';
import type { Row } from './command';
import { errorMessage } from './up/session';

export type Service = 'identity' | 'image' | 'compute' | 'network' | 'cumulet';
type Query = Readonly<Record<string, string | undefined>>;

/** What precedes the paths where the catalog names a service without version. */
const VERSION: Readonly<Record<Service, string>> = {
  identity: '/v3',
  image: '/v2',
  compute: '/v2.1',
  network: '/v2.0',
  cumulet: '',
};
const COMPUTE_VERSION = 'compute 2.79';

export interface CatalogEntry extends Row {
  readonly type: string;
  readonly name?: string;
  readonly endpoints: readonly { readonly interface: string; readonly region?: string; readonly url: string }[];
}

export interface Token {
  readonly id: string;
  readonly expires_at: string;
  readonly user: { readonly id: string };
  readonly project?: { readonly id: string };
  readonly catalog: readonly CatalogEntry[];
}

export interface Api {
  token(): Promise<Token>;
  /** Sends a request. @throws HttpError for an answer that is not success, CliError for none */
  send(service: Service, method: string, path: string, body?: unknown, type?: string): Promise<Response>;
  /** The JSON object of the answer; empty where it has none. */
  json(service: Service, method: string, path: string, body?: unknown, type?: string): Promise<Row>;
  /** All rows of a list, page by page. */
  list(service: Service, path: string, key: string, query?: Query): Promise<Row[]>;
}

async function exchange(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: unknown,
): Promise<Response> {
  const raw = body instanceof ReadableStream;
  const options: RequestInit = { method, headers: { Accept: 'application/json', ...headers } };
  if (body !== undefined) {
    options.body = raw ? body : JSON.stringify(body);
    options.headers = { 'Content-Type': 'application/json', ...options.headers };
    if (raw) options.duplex = 'half';
  }
  let answer: Response;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
    throw new CliError(`${method} ${url} got no answer: ${cause.message || String(cause)}`);
  }
  if (answer.ok) return answer;
  const id = answer.headers.get('x-openstack-request-id') ?? answer.headers.get('x-compute-request-id');
  const said = errorMessage(await answer.text()) || answer.statusText;
  throw new HttpError(`${said} (HTTP ${answer.status})${id === null ? '' : ` (Request-ID: ${id})`}`, answer.status);
}

const domainOf = (id: string | undefined, name: string | undefined): object =>
  id === undefined ? { name: name ?? 'Default' } : { id };

/** The body of the request for a token. @throws CliError that names what is missing */
function tokenRequest(settings: Settings): object {
  const user = settings.user_id
    ? { id: settings.user_id }
    : { name: settings.username, domain: domainOf(settings.user_domain_id, settings.user_domain_name) };
  if (settings.token === undefined) {
    if (!settings.user_id && !settings.username)
      throw new CliError('no user is named: set OS_USERNAME or username in clouds.yaml');
    if (settings.password === undefined)
      throw new CliError('there is no password: set OS_PASSWORD or password in clouds.yaml');
  }
  const identity =
    settings.token === undefined
      ? { methods: ['password'], password: { user: { ...user, password: settings.password } } }
      : { methods: ['token'], token: { id: settings.token } };
  const project = settings.project_id
    ? { id: settings.project_id }
    : settings.project_name && {
        name: settings.project_name,
        domain: domainOf(settings.project_domain_id, settings.project_domain_name),
      };
  const scope = settings.system_scope ? { system: { all: true } } : project ? { project } : undefined;
  return { auth: { identity, ...(scope ? { scope } : {}) } };
}

async function signIn(identity: string, settings: Settings): Promise<Token> {
  try {
    const answer = await exchange('POST', `${identity}/auth/tokens`, {}, tokenRequest(settings));
    const { token } = (await answer.json()) as { token: Omit<Token, 'id'> };
    return { ...token, catalog: token.catalog ?? [], id: answer.headers.get('x-subject-token') ?? '' };
  } catch (error) {
    if (error instanceof HttpError && error.status === 401)
      throw new CliError(
        `${identity} refused ${settings.username ?? settings.user_id ?? 'the token'}: ${error.message}`,
      );
    throw error;
  }
}

/** A caller that signs in with its first request. */
export function createApi(settings: Settings): Api {
  const given = (settings.auth_url ?? '').replace(/\/+$/, '');
  const identity = given.endsWith('/v3') ? given : `${given}/v3`;
  let signedIn: Promise<Token> | undefined;
  const token = (): Promise<Token> => (signedIn ??= signIn(identity, settings));
  const endpoint = async (service: Service): Promise<string> => {
    // Our own additions are not in the catalog, which lists OpenStack services.
    if (service === 'cumulet') return `${new URL(identity).origin}/cumulet/v1`;
    const kind = settings.interface?.replace(/URL$/, '') ?? 'public';
    const url = (await token()).catalog
      .find(({ type }) => type === service)
      ?.endpoints.find((each) => each.interface === kind && (settings.region_name ?? each.region) === each.region)
      ?.url.replace(/\/$/, '');
    if (url === undefined)
      throw new CliError(`the catalog of ${identity} has no ${kind} endpoint of the ${service} service`);
    return /\/v\d[\d.]*$/.test(url) ? url : url + VERSION[service];
  };
  const api: Api = {
    token,
    async send(service, method, path, body, type) {
      const { id } = await token();
      const headers: Record<string, string> = { 'X-Auth-Token': id };
      if (service === 'compute') headers['OpenStack-API-Version'] = COMPUTE_VERSION;
      if (type !== undefined) headers['Content-Type'] = type;
      return exchange(method, (await endpoint(service)) + path, headers, body);
    },
    async json(service, method, path, body, type) {
      const text = await (await api.send(service, method, path, body, type)).text();
      return (text === '' ? {} : JSON.parse(text)) as Row;
    },
    async list(service, path, key, query = {}) {
      const rows: Row[] = [];
      const wanted = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
      let search = wanted.length > 0 ? `?${new URLSearchParams(wanted).toString()}` : '';
      for (;;) {
        const body = await api.json(service, 'GET', path + search);
        rows.push(...((body[key] ?? []) as Row[]));
        const links = (body[`${key}_links`] ?? []) as { rel: string; href: string }[];
        const next = body['next'] ?? links.find(({ rel }) => rel === 'next')?.href;
        // Only the query is taken from the link: the token goes nowhere but to the endpoint.
        if (typeof next !== 'string') return rows;
        search = new URL(next, 'http://next').search;
      }
    },
  };
  return api;
}
