// Tokens: issue against the bare password hash, validation per second with a revocation in the same run.
import { randomBytes, scrypt } from 'node:crypto';
import { passwordBody, type RealCloud } from '../support/realCloud';
import { figure, percentile, timed, type Figure } from './figure';

const COST = 2 ** 15;
const json = { 'content-type': 'application/json' };

/** The bare hash of a password, at the cost of a new cloud. */
export const hash = (): Promise<void> =>
  new Promise((done, fail) =>
    scrypt('real-password', randomBytes(16), 32, { N: COST, r: 8, p: 1, maxmem: 256 << 20 }, (error) =>
      error ? fail(error) : done(),
    ),
  );

async function issue(cloud: RealCloud): Promise<string> {
  const answer = await cloud.request('POST', '/identity/v3/auth/tokens', {
    body: JSON.stringify(passwordBody()),
    headers: json,
  });
  await answer.arrayBuffer();
  if (answer.status !== 201) throw new Error(`token: ${answer.status}`);
  return answer.headers.get('x-subject-token') ?? '';
}

/** How often per second `work` ends when so many run at once. */
async function rate(concurrency: number, seconds: number, work: () => Promise<unknown>): Promise<number> {
  const end = Date.now() + seconds * 1000;
  let done = 0;
  const start = Date.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (Date.now() < end) {
        await work();
        done++;
      }
    }),
  );
  return done / ((Date.now() - start) / 1000);
}

async function validate(cloud: RealCloud, token: string): Promise<number> {
  const answer = await cloud.request('HEAD', '/identity/v3/auth/tokens', { headers: { 'x-subject-token': token } });
  await answer.arrayBuffer();
  return answer.status;
}

/** Milliseconds from the revocation's answer until validation says no. */
async function revocation(cloud: RealCloud): Promise<number> {
  const token = await issue(cloud);
  const load = rate(4, 2, () => validate(cloud, cloud.token));
  await new Promise((next) => setTimeout(next, 300));
  await cloud.request('DELETE', '/identity/v3/auth/tokens', { headers: { 'x-subject-token': token } });
  const took = await timed(async () => {
    while ((await validate(cloud, token)) !== 404) await new Promise((next) => setTimeout(next, 5));
  });
  await load;
  return took;
}

export async function benchTokens(cloud: RealCloud): Promise<Figure[]> {
  const [hashes, issues]: number[][] = [[], []];
  for (let round = 0; round < 30; round++) {
    hashes?.push(await timed(hash));
    issues?.push(await timed(() => issue(cloud)));
  }
  const [bare, one] = [percentile(hashes ?? [], 0.5), percentile(issues ?? [], 0.5)];
  const bareRate = await rate(8, 4, hash);
  const issueRate = await rate(8, 4, () => issue(cloud));
  const perSecond = await rate(8, 5, () => validate(cloud, cloud.token));
  const revoked = await revocation(cloud);
  return [
    figure('token issue, p50', one, 'ms', '<= the bare hash + 10 ms', one <= bare + 10, bare),
    figure(
      'token issue, 8 at once',
      issueRate,
      '/s',
      ">= 0.9 of the bare hash's",
      issueRate >= 0.9 * bareRate,
      bareRate,
    ),
    figure('token validation, 8 at once', perSecond, '/s', '>= 3000 /s', perSecond >= 3000),
    figure('revocation effective under load', revoked, 'ms', '<= 1000 ms', revoked <= 1000),
  ];
}
