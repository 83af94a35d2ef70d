// Files of web servers: a few redirects are followed, never from https to http, and who sends nothing any more is given up.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { CliError } from '../errors';

const REDIRECTS = 5;
const SILENT_MS = 30_000;
/** A list of checksums is a few KB. */
const LIST_BYTES = 1 << 20;

/** What to do about a host that does not answer. */
const OTHERWISE = 'where there is no way out, --mirror names a web server of your own, or give the file itself';

/** A cause in words that a person can act on. */
function causeOf(error: NodeJS.ErrnoException, host: string): string {
  const message = error.message || (error.code ?? error.name);
  if (['ENOTFOUND', 'EAI_AGAIN'].includes(error.code ?? ''))
    return `the name ${host} was not found (is there a network?); ${OTHERWISE}`;
  if (['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'ETIMEDOUT', 'SILENT'].includes(error.code ?? ''))
    return `${host} was not reached (${message}); ${OTHERWISE}`;
  if (/certificate|CERT|self.signed|SSL|TLS/i.test(`${error.code} ${message}`))
    return `${host} did not prove who it is (${message}); NODE_EXTRA_CA_CERTS names the authority of a server of your own`;
  return `the transfer broke off (${message}); running it again goes on from there`;
}

/** What broke off an answer, in words. */
export const brokenOff = (url: string, error: Error): CliError =>
  new CliError(`${url}: ${causeOf(error, new URL(url).host)}`);

function request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  silentMs: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === 'https:' ? https : http).get(url, { headers, signal }, resolve);
    sent.on('error', reject);
    const silent = Object.assign(new Error(`nothing came for ${silentMs / 1000} s`), { code: 'SILENT' });
    sent.setTimeout(silentMs, () => sent.destroy(silent));
  });
}

/** The answer of a GET with its body to come.
 * @param from - the first byte that is wanted; the answer is 206 when it is granted, 416 when there is none
 * @throws CliError in words for no answer, a redirect that is not followed, and every status but 200, 206 and 416 */
export async function get(url: string, signal: AbortSignal, from = 0, silentMs = SILENT_MS): Promise<IncomingMessage> {
  const headers: Record<string, string> = { 'User-Agent': 'cumulet', ...(from > 0 ? { Range: `bytes=${from}-` } : {}) };
  let at = new URL(url);
  for (let followed = 0; followed <= REDIRECTS; followed++) {
    let answer: IncomingMessage;
    try {
      answer = await request(at, headers, signal, silentMs);
    } catch (error) {
      if (signal.aborted) throw error;
      throw brokenOff(at.href, error as Error);
    }
    const status = answer.statusCode ?? 0;
    if ([200, 206, 416].includes(status)) return answer;
    answer.destroy();
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined)
      throw new CliError(
        [404, 410].includes(status)
          ? `${at.href} is not there (HTTP ${status}): its maker may have moved it; give the new URL, with --checksum`
          : `${at.href} was refused (HTTP ${status} ${answer.statusMessage ?? ''})`,
      );
    const next = URL.canParse(location, at.href) ? new URL(location, at.href) : undefined;
    if (next?.protocol !== 'https:' && (next?.protocol !== 'http:' || at.protocol === 'https:'))
      throw new CliError(`${at.href} leads to ${location}, which is not followed`);
    at = next;
  }
  throw new CliError(`${url} leads to another address more than ${REDIRECTS} times`);
}

/** A short text. @throws CliError as above, and when it is long */
export async function getText(url: string, signal: AbortSignal): Promise<string> {
  const answer = await get(url, signal);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > LIST_BYTES) throw new CliError(`${url} is no list of checksums: it is larger than 1 MiB`);
    }
  } catch (error) {
    if (error instanceof CliError || signal.aborted) throw error;
    throw brokenOff(url, error as Error);
  }
  return Buffer.concat(chunks).toString();
}
