// A signed-in caller of the public API, as `up` needs it: tokens by password, endpoints by catalog, errors in words.

type Service = 'identity' | 'image' | 'compute' | 'network' | 'cumulet';

/** What precedes the path where the catalog names the service without version. */
const VERSION: Readonly<Record<Exclude<Service, 'cumulet'>, string>> = {
  identity: '/v3',
  image: '/v2',
  compute: '',
  network: '/v2.0',
};

/** An answer of the API that is not success; the message says what was asked and why it was refused. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export interface Session {
  readonly projectId: string;
  readonly userId: string;
  /** Sends a request and gives the JSON of the answer (undefined for an empty one). @throws ApiError */
  request<T>(service: Service, method: string, path: string, body?: unknown, type?: string): Promise<T>;
}

/** The sentence in an error body, whatever service it came from. */
export function errorMessage(text: string): string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return text
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  }
  const find = (value: unknown): string | undefined => {
    if (typeof value !== 'object' || value === null) return undefined;
    if ('message' in value && typeof value.message === 'string') return value.message;
    return Object.values(value)
      .map(find)
      .find((found) => found !== undefined);
  };
  return find(body) ?? text;
}

async function send(method: string, url: string, headers: Record<string, string>, body: unknown): Promise<Response> {
  const raw = body instanceof Uint8Array;
  const options: RequestInit = { method, headers: { Accept: 'application/json', ...headers } };
  if (body !== undefined) {
    options.body = raw ? body : JSON.stringify(body);
    options.headers = { 'Content-Type': raw ? 'application/octet-stream' : 'application/json', ...options.headers };
  }
  let answer: Response;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`${method} ${url} got no answer: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause: error,
    });
  }
  if (!answer.ok) {
    const text = await answer.text();
    throw new ApiError(`${method} ${url} was answered ${answer.status}: ${errorMessage(text)}`, answer.status);
  }
  return answer;
}

interface TokenAnswer {
  readonly token: {
    readonly user: { readonly id: string };
    readonly project?: { readonly id: string };
    readonly catalog?: readonly {
      readonly type: string;
      readonly endpoints: readonly { readonly interface: string; readonly url: string }[];
    }[];
  };
}

/** Signs in with a password to a project of domain Default. @throws ApiError with status 401 for a wrong password */
export async function signIn(url: string, user: string, password: string, project: string): Promise<Session> {
  const domain = { name: 'Default' };
  const answer = await send(
    'POST',
    `${url}/v3/auth/tokens`,
    {},
    {
      auth: {
        identity: { methods: ['password'], password: { user: { name: user, password, domain } } },
        scope: { project: { name: project, domain } },
      },
    },
  );
  const token = answer.headers.get('X-Subject-Token') ?? '';
  const body = ((await answer.json()) as TokenAnswer).token;
  const endpoint = (service: Service): string => {
    // Our own additions are not in the catalog, which lists OpenStack services.
    if (service === 'cumulet') return `${url}/cumulet/v1`;
    const entry = body.catalog?.find(({ type }) => type === service);
    const found = entry?.endpoints.find((each) => each.interface === 'public');
    if (!found) throw new Error(`the catalog of ${url} has no public endpoint of the ${service} service`);
    return found.url.replace(/\/$/, '') + VERSION[service];
  };
  return {
    projectId: body.project?.id ?? '',
    userId: body.user.id,
    request: async <T>(
      service: Service,
      method: string,
      path: string,
      content?: unknown,
      type?: string,
    ): Promise<T> => {
      const headers: Record<string, string> = { 'X-Auth-Token': token };
      if (service === 'compute') headers['OpenStack-API-Version'] = 'compute 2.79';
      if (type !== undefined) headers['Content-Type'] = type;
      const reply = await send(method, endpoint(service) + path, headers, content);
      const text = await reply.text();
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
  };
}
