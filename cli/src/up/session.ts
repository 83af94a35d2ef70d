// A signed-in caller as `up` needs it.
import { Readable } from 'node:stream';
import { createApi, type Service } from '../api';

export { HttpError as ApiError } from '../errors';

export interface Session {
  readonly projectId: string;
  readonly userId: string;
  /** Sends a request and gives the JSON of the answer (undefined for an empty one). @throws ApiError */
  request<T>(service: Service, method: string, path: string, body?: unknown, type?: string): Promise<T>;
}

/** Signs in with a password to a project of domain Default. @throws ApiError with status 401 for a wrong password */
export async function signIn(url: string, user: string, password: string, project: string): Promise<Session> {
  const api = createApi({ auth_url: url, username: user, password, project_name: project });
  const token = await api.token();
  return {
    projectId: token.project?.id ?? '',
    userId: token.user.id,
    request: async <T>(service: Service, method: string, path: string, body?: unknown, type?: string): Promise<T> => {
      const raw = body instanceof Uint8Array;
      const kind = raw ? 'application/octet-stream' : type;
      const answer = await api.send(service, method, path, raw ? undefined : body, {
        ...(kind === undefined ? {} : { headers: { 'Content-Type': kind } }),
        ...(raw ? { stream: Readable.from([body]) } : {}),
      });
      const text = await answer.text();
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
  };
}
