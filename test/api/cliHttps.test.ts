// cumulet against clouds behind https and against services that answer otherwise than ours: what is trusted, what is said.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http, { type RequestListener, type Server } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { ADMIN_PASSWORD } from '../support/identity';
import type { Run } from '../support/programs';

let all: CommandCloud;
let door: Server;
let certificate: string;

/** Passes everything on to the cloud. */
const forward: RequestListener = (request, response) => {
  const { method, headers, url } = request;
  const inner = http.request(new URL(url ?? '', all.cloud.test.url), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
  });
  request.pipe(inner);
};
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

beforeAll(async () => {
  all = await startCommandCloud();
  certificate = join(all.directory, 'cert.pem');
  const key = join(all.directory, 'key.pem');
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'],
      ...['-subj', '/CN=cloud', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
    ],
    { stdio: 'pipe' },
  );
  door = https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, forward);
  await once(door.listen(0, '127.0.0.1'), 'listening');
});
afterAll(async () => {
  door.close();
  await all.stop();
});

const login = () => ({
  OS_AUTH_URL: `https://127.0.0.1:${portOf(door)}/identity/v3`,
  OS_USERNAME: 'admin',
  OS_PASSWORD: ADMIN_PASSWORD,
  OS_PROJECT_NAME: 'admin',
});
const issue = 'token issue -f value -c user_id';

test("a certificate of one's own is refused until its authority is named", async () => {
  const refused = await all.run(issue, login());
  expect(refused).toMatchObject({ exit: 1, out: '' });
  expect(refused.err).toMatch(/\/auth\/tokens got no answer: .*self-signed certificate/);
  expect(await all.run(issue, { ...login(), OS_CACERT: certificate })).toMatchObject({ exit: 0, err: '' });
  expect((await all.run(`${issue} --os-cacert ${certificate}`, login())).exit).toBe(0);
  const auth = { auth_url: login().OS_AUTH_URL, username: 'admin', password: ADMIN_PASSWORD, project_name: 'admin' };
  const file = join(all.directory, 'mine.yaml');
  const named = (more: object): Promise<Run> => {
    writeFileSync(file, JSON.stringify({ clouds: { mine: { auth, ...more } } }));
    return all.run(issue, { OS_CLOUD: 'mine', OS_CLIENT_CONFIG_FILE: file });
  };
  expect((await named({})).exit).toBe(1);
  expect((await named({ cacert: certificate })).exit).toBe(0);
});

test('any certificate is taken when that is said', async () => {
  expect((await all.run(`${issue} --insecure`, login())).exit).toBe(0);
  for (const env of [{ OS_INSECURE: 'true' }, { OS_VERIFY: 'no' }])
    expect((await all.run(issue, { ...login(), ...env })).exit).toBe(0);
  expect((await all.run(issue, { ...login(), OS_VERIFY: 'yes' })).exit).toBe(1);
});

test.each([
  [
    'a page of a proxy',
    502,
    'Bad Gateway',
    'text/html',
    '<html><h1>Bad</h1>\n<p>gateway</p></html>',
    {},
    'Bad gateway (HTTP 502)',
  ],
  ['nothing at all', 503, 'Service Unavailable', 'text/plain', '', {}, 'Service Unavailable (HTTP 503)'],
  [
    "JSON without a message and compute's own name for the request",
    409,
    'Conflict',
    'application/json',
    '{"reason": ["busy", null]}',
    { 'x-compute-request-id': 'req-7' },
    '{"reason": ["busy", null]} (HTTP 409) (Request-ID: req-7)',
  ],
  [
    'success that is no JSON',
    200,
    'OK',
    'text/html',
    '<html>welcome</html>',
    {},
    'does not answer as an identity service',
  ],
  ['not even a reason', 500, '', 'text/plain', '', {}, 'no reason was given (HTTP 500)'],
])('%s is told in words', async (_what, status, reason, type, body, headers, words) => {
  const other = http.createServer((_, response) => {
    response.writeHead(status, reason, { 'content-type': type, ...headers }).end(body);
  });
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const run = await all.run(issue, { ...login(), OS_AUTH_URL: `http://127.0.0.1:${portOf(other)}` });
  other.close();
  expect(run).toMatchObject({ exit: 1, out: '', err: expect.stringContaining(words) });
});
