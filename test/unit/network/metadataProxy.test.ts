// The metadata proxy of a network, without a host.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger, type MetadataAnswer, type MetadataRequest } from '@cumulet/common';
import { createAnswerCache, createMetadataServer, isLinkLocal } from '../../../network-agent/src/metadataProxy';

describe('metadata', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  const listen = async (
    answer: (request: MetadataRequest) => Promise<MetadataAnswer>,
    identify = (address: string): string | undefined => address,
  ): Promise<string> => {
    const context = {
      host: 'h',
      networkId: 'n',
      api: { metadata: answer },
      log: silentLogger,
      identify,
      answers: createAnswerCache(),
      timeout: 50,
    };
    server = createMetadataServer(context);
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  test('the caller is its address and network, whatever its headers say', async () => {
    const asked: MetadataRequest[] = [];
    const url = await listen((request) => {
      asked.push(request);
      return Promise.resolve({ status: 201, contentType: 'text/x', body: 'ok' });
    });
    const response = await fetch(`${url}/a/b?c=d`, {
      method: 'POST',
      body: 'secret',
      headers: { 'x-forwarded-for': '10.9.9.9', 'x-instance-id': 'other' },
    });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      201,
      'text/x',
      'ok',
    ]);
    expect(asked).toEqual([
      { host: 'h', networkId: 'n', address: '127.0.0.1', method: 'POST', path: '/a/b', body: 'secret' },
    ]);
    const head = await fetch(`${url}/a`, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe('2');
  });

  test('the last good answer is served while the controller is away or slow, and 503 where there is none', async () => {
    let mode: 'good' | 'away' | 'slow' | 'odd' = 'good';
    const url = await listen(() => {
      if (mode === 'away') return Promise.reject(new Error('away'));
      if (mode === 'slow') return new Promise(() => undefined);
      return Promise.resolve({ status: mode === 'odd' ? 404 : 200, contentType: 'text/plain', body: mode });
    });
    const get = async (path: string): Promise<string> => {
      const response = await fetch(url + path);
      return `${response.status} ${(await response.text()).trim()}`;
    };
    expect(await get('/x')).toBe('200 good');
    mode = 'odd';
    expect(await get('/x')).toBe('404 odd');
    mode = 'away';
    expect(await get('/x')).toBe('200 good');
    expect(await get('/y')).toContain('503');
    mode = 'slow';
    expect(await get('/x')).toBe('200 good');
  });

  test('an unknown caller and a body that is too long are refused without asking', async () => {
    const url = await listen(
      () => Promise.reject(new Error('asked')),
      () => undefined,
    );
    expect((await fetch(url)).status).toBe(404);
    server?.closeAllConnections();
    server?.close();
    const other = await listen(() => Promise.reject(new Error('asked')));
    expect((await fetch(other, { method: 'PUT', body: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('the oldest answers are given up', () => {
    const cache = createAnswerCache(2);
    const answer = (body: string): MetadataAnswer => ({ status: 200, contentType: '', body });
    cache.set('a', answer('1'));
    cache.set('b', answer('2'));
    cache.set('a', answer('3'));
    cache.set('c', answer('4'));
    expect([cache.get('a')?.body, cache.get('b'), cache.get('c')?.body]).toEqual(['3', undefined, '4']);
  });

  test('link-local addresses are told apart', () => {
    expect(['fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', '10.0.0.1'].map(isLinkLocal)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});
