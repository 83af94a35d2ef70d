// Tokens: issue against the bare password hash, validation per second with a revocation in the same run.
import { randomBytes, scrypt } from 'node:crypto';
import { passwordBody, type RealCloud } from '../support/realCloud';
import { figure, percentile, timed, type Figure } from './figure';
import { load } from './load';

const COST = 2 ** 15;
const json = { 'content-type': 'application/json' };
const TOKENS = '/identity/v3/auth/tokens';

/** The bare hash of a password, at the cost of a new cloud. */
export const hash = (): Promise<void> =>
  new Promise((done, fail) =>
    scrypt('real-password', randomBytes(16), 32, { N: COST, r: 8, p: 1, maxmem: 256 << 20 }, (error) =>
      error ? fail(error) : done(),
    ),
  );

async function issue(cloud: RealCloud): Promise<string> {
  const answer = await cloud.request('POST', TOKENS, { body: JSON.stringify(passwordBody()), headers: json });
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

/** Milliseconds from the revocation's answer until validation says no. */
async function revocation(cloud: RealCloud, token: string): Promise<number> {
  const subject = { headers: { 'x-subject-token': token } };
  const valid = async (): Promise<boolean> => (await cloud.request('HEAD', TOKENS, subject)).status !== 404;
  if (!(await valid())) throw new Error('the token to revoke was not valid');
  await cloud.request('DELETE', TOKENS, subject);
  return timed(async () => {
    while (await valid()) await new Promise((next) => setTimeout(next, 5));
  });
}

export async function benchTokens(cloud: RealCloud): Promise<Figure[]> {
  const hashes: number[] = [];
  const issues: number[] = [];
  for (let round = 0; round < 30; round++) {
    hashes.push(await timed(hash));
    issues.push(await timed(() => issue(cloud)));
  }
  const [bare, one] = [percentile(hashes, 0.5), percentile(issues, 0.5)];
  // In turns, because the machine's other work comes and goes.
  const bareRates: number[] = [];
  const issueRates: number[] = [];
  for (let round = 0; round < 3; round++) {
    bareRates.push(await rate(8, 2, hash));
    issueRates.push(await rate(8, 2, () => issue(cloud)));
  }
  const [bareRate, issueRate] = [percentile(bareRates, 0.5), percentile(issueRates, 0.5)];
  const doomed = await issue(cloud);
  const validating = load({
    url: cloud.url + TOKENS,
    method: 'GET',
    headers: { 'x-auth-token': cloud.token, 'x-subject-token': cloud.token },
    connections: 8,
    seconds: 8,
  });
  await new Promise((next) => setTimeout(next, 4000));
  const revoked = await revocation(cloud, doomed);
  const { perSecond } = await validating;
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
    figure('revocation effective, in the same run', revoked, 'ms', '<= 1000 ms', revoked <= 1000),
  ];
}
