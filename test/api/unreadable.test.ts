// What Node's parser refuses is answered in words too: URLs and headers that are too long, and what is not HTTP.
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

/** Sends bytes on a connection of their own; resolves with everything that comes until the server ends it. */
async function exchange(...pieces: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(cloud.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  for (const piece of pieces) socket.write(piece);
  return text(socket);
}

/** Head and body of the last answer of an exchange. */
function lastAnswer(all: string): { readonly head: string; readonly body: unknown } {
  const [head = '', body = ''] = all.slice(all.lastIndexOf('HTTP/1.1 ')).split('\r\n\r\n');
  expect(head).toMatch(/^x-openstack-request-id: req-[0-9a-f-]{36}$/m);
  expect(head).toMatch(/^connection: close\r$/m);
  expect(head).toMatch(new RegExp(`^content-length: ${Buffer.byteLength(body)}\\r$`, 'm'));
  return { head, body: JSON.parse(body) };
}

const HOST = 'Host: cloud\r\n';
const CHUNKED = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n';
const tooLong = {
  error: {
    code: 431,
    title: 'Request Header Fields Too Large',
    message: 'The URL and the headers of the request are too long together.',
  },
};
const notHttp = { error: { code: 400, title: 'Bad Request', message: 'The request is not valid HTTP.' } };

test.each([
  ['a URL of 20 kB', `GET /compute/v2.1/servers?name=${'a'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, tooLong],
  ['a header of 20 kB', `GET /identity/v3 HTTP/1.1\r\n${HOST}X-Long: ${'a'.repeat(20_000)}\r\n\r\n`, tooLong],
  ['a request that is not HTTP', 'hello\r\n\r\n', notHttp],
  ['a piece of a body that is none', `POST /v3/auth/tokens HTTP/1.1\r\n${HOST}${CHUNKED}\r\nzz\r\n`, notHttp],
  ['a length that is no number', `POST /v3/auth/tokens HTTP/1.1\r\n${HOST}Content-Length: x\r\n\r\n`, notHttp],
])('%s is refused in JSON, and the connection ends', async (_what, request, expected) => {
  const all = await exchange(request);
  expect(lastAnswer(all).body).toEqual(expected);
  expect(all.match(/HTTP\/1\.1 /g)).toHaveLength(1);
});

test('a long URL that comes in pieces is refused once', async () => {
  const all = await exchange('GET /', ...Array.from({ length: 40 }, () => 'a'.repeat(10_000)));
  expect(lastAnswer(all).body).toEqual(tooLong);
  expect(all.match(/HTTP\/1\.1 /g)).toHaveLength(1);
});

test('a request before it on the same connection has its answer first', async () => {
  const { hostname, port } = new URL(cloud.url);
  const socket = connect(Number(port), hostname);
  const all = text(socket);
  socket.write(`GET /healthz HTTP/1.1\r\n${HOST}\r\n`);
  await once(socket, 'data');
  socket.write('hello\r\n\r\n');
  expect(await all).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(lastAnswer(await all).body).toEqual(notHttp);
});

test('an answer that is under way is not mixed with another', async () => {
  const image = { name: 'big', disk_format: 'raw', container_format: 'bare' };
  const { id } = (await cloud.call('POST', '/image/v2/images', { body: image })).body;
  const path = `/image/v2/images/${id as string}/file`;
  const size = 32 << 20;
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await cloud.call('PUT', path, { body: Buffer.alloc(size, 'z'), headers })).status).toBe(204);

  const { hostname, port } = new URL(cloud.url);
  const socket = connect(Number(port), hostname);
  const received: Buffer[] = [];
  socket.on('data', (bytes) => received.push(bytes));
  // A connection that is cut off may say so, or just end.
  socket.on('error', () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\n${HOST}X-Auth-Token: demo\r\n\r\n`);
  await once(socket, 'data');
  socket.write('hello\r\n\r\n');
  await once(socket, 'close');
  // Cut off where it was, or whole when the rest of the bytes was faster than the refusal.
  const all = Buffer.concat(received);
  const begin = all.indexOf('\r\n\r\n') + 4;
  expect(all.subarray(0, begin).toString()).toMatch(/^HTTP\/1\.1 200 OK/);
  const body = all.subarray(begin, begin + size);
  expect(body.equals(Buffer.alloc(body.length, 'z'))).toBe(true);
});
