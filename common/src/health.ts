// Whether a process lives and is ready, and its metrics, for probes and Prometheus: plain HTTP, meant for loopback.
import { createServer, type Server } from 'node:http';
import { Type, type Static } from '@sinclair/typebox';
import { messageOf } from './errors';
import { metricsText } from './metrics';

/** The section `health` with a process's own port; null: no such listener, which is the default unless `on`. */
export const healthConfig = (port: number, on = true) =>
  Type.Union(
    [
      Type.Object(
        {
          listen: Type.String({
            default: '127.0.0.1',
            description: 'Address of health and metrics; no TLS, no login.',
          }),
          port: Type.Integer({ default: port, minimum: 0, maximum: 65535, description: 'Its TCP port.' }),
        },
        { additionalProperties: false },
      ),
      Type.Null(),
    ],
    { default: on ? {} : null },
  );
export type HealthConfig = Static<ReturnType<typeof healthConfig>>;

/** What keeps a process from doing its work, in words; empty when it is ready. */
export type Missing = () => Promise<readonly string[]>;

async function answerTo(
  path: string | undefined,
  missing: Missing,
): Promise<{ status: number; type: string; text: string }> {
  const json = (status: number, body: object) => ({ status, type: 'application/json', text: JSON.stringify(body) });
  if (path === '/healthz') return json(200, { status: 'ok' });
  if (path === '/readyz') {
    const words = await missing();
    return json(words.length === 0 ? 200 : 503, { ready: words.length === 0, missing: words });
  }
  if (path === '/metrics') return { status: 200, ...(await metricsText()) };
  return json(404, { error: 'there are /healthz, /readyz and /metrics' });
}

/** Not yet listening. */
export function createHealthServer(missing: Missing): Server {
  return createServer((request, response) => {
    answerTo(request.method === 'GET' ? request.url?.split('?')[0] : undefined, missing)
      .catch((error: unknown) => ({ status: 500, type: 'text/plain', text: messageOf(error) }))
      .then(({ status, type, text }) => response.writeHead(status, { 'content-type': type }).end(text))
      .catch(() => response.destroy());
  });
}
