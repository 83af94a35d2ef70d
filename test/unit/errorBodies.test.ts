// How each service writes errors. An error that nobody foresaw must not tell its words to a caller, in any of them.
import { DatabaseUnavailableError } from '../../controller/src/db';
import { ApiError, OverQuotaError, UnauthorizedError } from '../../controller/src/errors';
import { cumuletService } from '../../controller/src/api/cumulet/routes';
import { renderComputeError } from '../../controller/src/api/compute/errors';
import { renderIdentityError } from '../../controller/src/api/identity/errors';
import { renderImageError } from '../../controller/src/api/image/errors';
import { renderNetworkError } from '../../controller/src/api/network/errors';

const request = { id: 'req-1', headers: {}, origin: 'http://cloud', path: '/' };
const renderers = {
  compute: renderComputeError,
  cumulet: cumuletService.renderError,
  identity: renderIdentityError,
  image: renderImageError,
  network: renderNetworkError,
};

test.each(Object.entries(renderers))('%s says nothing of an unforeseen error but the request id', (_, render) => {
  for (const error of [new Error('the password is hunter2'), 'hunter2', undefined]) {
    const { status, body, headers = {} } = render(error, request);
    const text = JSON.stringify([body, headers]);
    expect(status).toBe(500);
    expect(text).toContain('req-1');
    expect(text).not.toContain('hunter2');
  }
});

test.each(Object.entries(renderers))('%s says the words of an error that is meant for callers', (_, render) => {
  const { status, body } = render(new ApiError(409, 'Conflict', 'the thing is in use'), request);
  expect(status).toBe(409);
  expect(JSON.stringify(body)).toContain('the thing is in use');
});

test.each(['identity', 'image', 'network'] as const)('%s says where to sign in', (name) => {
  const { status, headers = {} } = renderers[name](new UnauthorizedError(), request);
  const values = Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]);
  expect(status).toBe(401);
  expect(values).toEqual([['www-authenticate', 'Keystone uri="http://cloud/identity"']]);
});

test.each(Object.entries(renderers))('%s says that it can’t be served while the database is away', (_, render) => {
  const { status, body } = render(new DatabaseUnavailableError('not done', new Error('hunter2')), request);
  expect(status).toBe(503);
  expect(JSON.stringify(body)).toContain(
    'The database could not be reached and nothing was changed: try again. (Request-ID: req-1)',
  );
  expect(JSON.stringify(body)).not.toContain('hunter2');
});

test('the image service answers 413 when a quota is exceeded', () => {
  const error = new OverQuotaError('no room for more images');
  expect(renderImageError(error, request)).toMatchObject({ status: 413, body: { code: '413 Payload Too Large' } });
});
