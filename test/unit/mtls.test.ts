// Mutual TLS between the cloud's own processes: what travels, what is refused, what is cut off, and who is taken for whom.
import { createServer as createPlainServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import type { PeerCertificate } from 'node:tls';
import {
  createMtlsClient,
  createMtlsServer,
  CumuletError,
  mustBe,
  peerOf,
  silentLogger,
  type MtlsCall,
  type MtlsClient,
  type MtlsRoute,
} from '@cumulet/common';
import { makeTestCa, type TestCa } from '../support/certificates';

let ca: TestCa;
let client: MtlsClient;
const servers: Server[] = [];

/** The address at which a server listens from now on. */
async function listen(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const serve = (routes: Record<string, MtlsRoute>): Promise<string> =>
  listen(createMtlsServer({ tls: ca.files('ctl'), log: silentLogger, accepts: () => true, routes }));
const call = (base: string, path: string, more: Partial<MtlsCall> = {}): MtlsCall => ({
  method: 'GET',
  base,
  path,
  timeout: 5_000,
  ...more,
});

beforeAll(async () => {
  ca = await makeTestCa();
  await ca.add('controller', 'ctl');
  client = createMtlsClient(ca.files('ctl'), ({ role }) => role === 'controller', 'a controller');
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});
afterAll(() => {
  client.close();
  ca.stop();
});

describe('an answer', () => {
  test('is JSON, bytes, a stream, or nothing', async () => {
    const base = await serve({
      'GET /json': { handle: async () => ({ json: { a: 1 } }) },
      'GET /bytes/*': { handle: async ({ rest }) => ({ bytes: Buffer.from(rest), headers: { 'x-kind': 'bytes' } }) },
      'GET /stream': { handle: async () => ({ stream: Readable.from(['one ', 'two']) }) },
      'GET /nothing': { handle: async () => ({}) },
    });
    const json = await client.open(call(base, '/json'));
    expect([json.headers['content-type'], await text(json)]).toEqual(['application/json', '{"a":1}']);
    const bytes = await client.open(call(base, '/bytes/abc?x=1'));
    expect([bytes.headers['x-kind'], bytes.headers['content-length'], await text(bytes)]).toEqual([
      'bytes',
      '3',
      'abc',
    ]);
    expect((await client.bytes(call(base, '/stream'))).toString()).toBe('one two');
    const nothing = await client.open(call(base, '/nothing'));
    expect([nothing.statusCode, await text(nothing)]).toEqual([204, '']);
  });

  test('that breaks off in the middle is not taken for whole', async () => {
    const broken = async function* (): AsyncGenerator<string> {
      yield 'one';
      await new Promise((next) => setTimeout(next, 20));
      throw new Error('the file is gone');
    };
    const base = await serve({ 'GET /stream': { handle: async () => ({ stream: Readable.from(broken()) }) } });
    await expect(client.bytes(call(base, '/stream'))).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining(`${base} broke off`) as string,
    });
  });

  test('that does not come is given up', async () => {
    const base = await serve({ 'GET /slow': { handle: () => new Promise(() => undefined) } });
    await expect(client.bytes(call(base, '/slow', { timeout: 50 }))).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('nothing heard for 50 ms') as string,
    });
  });
});

describe('a refusal', () => {
  test('has the code of what was wrong; what is nobody’s fault has none of the details', async () => {
    const base = await serve({
      'POST /known': { handle: () => Promise.reject(new CumuletError('image_refused', 'it is too old')) },
      'POST /unknown': { handle: () => Promise.reject(new CumuletError('secret', 'the password is x')) },
      'POST /broken': { handle: () => Promise.reject(new Error('the password is x')) },
      'POST /schema': {
        schema: { type: 'object', properties: { a: { type: 'number' } } },
        handle: async ({ body }) => ({ json: body }),
      },
    });
    const post = (path: string, more: Partial<MtlsCall> = {}) =>
      client.bytes(call(base, path, { method: 'POST', ...more }));
    await expect(post('/known')).rejects.toMatchObject({
      code: 'image_refused',
      message: 'it is too old',
      facts: { status: 422 },
    });
    // Another controller may be able to answer.
    for (const path of ['/unknown', '/broken'])
      await expect(post(path)).rejects.toMatchObject({
        code: 'unreachable',
        message: 'it answered with status 500: see the log',
      });
    await expect(post('/nowhere')).rejects.toMatchObject({ code: 'not_found' });
    await expect(post('/schema', { json: { a: 'x' } })).rejects.toMatchObject({ message: '/a: must be number' });
    await expect(post('/schema')).rejects.toMatchObject({ message: 'the body: must be object' });
    const notJson = { stream: Readable.from(['{"a":']) };
    await expect(post('/schema', notJson)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringMatching(/^the body is not JSON: /) as string,
    });
    expect((await post('/schema', { json: { a: 1 } })).toString()).toBe('{"a":1}');
  });

  test.each([
    [502, '<html>bad gateway</html>', 'unreachable', 'it answered with status 502: status 502'],
    [404, '<html>not found</html>', 'refused', 'status 404'],
    [409, '{"code":"busy","message":"later"}', 'busy', 'later'],
  ])('with status %d that is not one of ours is told by what it says', async (status, body, code, message) => {
    const plain = createPlainServer({ ...ca.files('ctl') }, (_request, response) =>
      response.writeHead(status).end(body),
    );
    await expect(client.bytes(call(await listen(plain), '/any'))).rejects.toMatchObject({ code, message });
  });

  test('comes through although nobody reads the bytes that are sent, and others come through again', async () => {
    const base = await serve({
      'POST /upload': {
        raw: true,
        async handle({ query, bytes }) {
          if (query.has('refuse')) throw new CumuletError('too_large', 'it is too large');
          return { json: (await buffer(bytes)).length };
        },
      },
    });
    const upload = (path: string) =>
      client.bytes(call(base, path, { method: 'POST', stream: Readable.from([Buffer.alloc(1 << 20)]) }));
    await expect(upload('/upload?refuse')).rejects.toMatchObject({ code: 'too_large' });
    expect((await upload('/upload')).toString()).toBe(String(1 << 20));
  });
});

describe('a certificate', () => {
  const of = (subject: object): PeerCertificate => ({ subject }) as PeerCertificate;
  const controller = of({ O: 'cumulet', OU: 'controller', CN: 'ctl' });

  test('says who its owner is, or that it is nobody of ours', () => {
    expect(peerOf(controller)).toEqual({ role: 'controller', name: 'ctl' });
    for (const stranger of [
      {},
      of({ O: 'other', OU: 'host', CN: 'h1' }),
      of({ O: 'cumulet', OU: 'host' }),
      of({ O: 'cumulet', OU: 'king', CN: 'h1' }),
    ])
      expect(peerOf(stranger)).toBeUndefined();
  });

  test('of somebody else is refused in words', () => {
    const check = mustBe(({ role, name }) => role === 'host' && name === 'h1', 'host h1');
    expect(check('127.0.0.1', of({ O: 'cumulet', OU: 'host', CN: 'h1' }))).toBeUndefined();
    expect(check('127.0.0.1', controller)?.message).toBe(
      'the certificate is not that of host h1 but of controller ctl',
    );
    expect(check('127.0.0.1', of({ CN: 'h1' }))?.message).toBe(
      'the certificate is not that of host h1 but of a stranger',
    );
  });
});
