// An image from a web server into a file of the cache: streamed, taken up where an earlier run was interrupted, checked at the end.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CliError } from '../errors';
import { metered } from '../imageData';
import type { Checksum } from './checksum';
import { brokenOff, get } from './fetch';

/** Where what is downloaded lies until the image service has it. */
function cacheDirectory(): string {
  const directory = path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'cumulet/images');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return directory;
  } catch (error) {
    throw new CliError(`the download has no place: ${(error as Error).message}`);
  }
}

/** Reads a file for its checksum. @throws CliError when it is another */
export async function verify(file: string, wanted: Checksum, what: string, signal: AbortSignal): Promise<void> {
  const hash = createHash(wanted.algorithm);
  await pipeline(createReadStream(file), hash, { signal });
  const digest = hash.digest('hex');
  if (digest === wanted.digest) return;
  throw new CliError(
    `${what} does not have the ${wanted.algorithm.toUpperCase()} checksum ${wanted.digest}, but ${digest}`,
  );
}

export interface Download {
  readonly url: string;
  readonly checksum: Checksum | undefined;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

/** Brings what is missing of a file. */
async function bring({ url, signal, progress }: Download, file: string): Promise<void> {
  const there = existsSync(file) ? statSync(file).size : 0;
  const answer = await get(url, signal, there);
  // Nothing is left of it; or it is a shorter one now, which the checksum finds.
  if (answer.statusCode === 416) {
    answer.destroy();
    if (there > 0) return;
    throw new CliError(`${url} is empty`);
  }
  const goesOn = answer.statusCode === 206;
  const begin = goesOn ? there : 0;
  const total = begin + Number(answer.headers['content-length'] ?? -begin);
  const meter = metered(total, progress, `downloading ${url}`, begin);
  try {
    await pipeline(answer, meter, createWriteStream(file, { flags: goesOn ? 'a' : 'w', mode: 0o600 }), { signal });
  } catch (error) {
    if (signal.aborted) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (['ENOSPC', 'EDQUOT', 'EACCES', 'EIO', 'EROFS', 'EISDIR'].includes(code ?? ''))
      throw new CliError(`${file} could not be written: ${(error as Error).message}`);
    throw brokenOff(url, error as Error);
  }
}

/** Brings the file and checks it. What has a checksum is kept under it when the download breaks off, and the next one goes on from there.
 * @returns where it is; the caller removes it
 * @throws CliError in words; a file with another checksum is removed */
export async function download(wanted: Download): Promise<string> {
  const { checksum, url, signal, progress } = wanted;
  const unchecked = `unchecked-${createHash('sha256').update(url).digest('hex').slice(0, 16)}`;
  const file = path.join(cacheDirectory(), checksum?.digest ?? unchecked);
  // The beginning of what nobody can check may be that of another file.
  if (!checksum) rmSync(file, { force: true });
  try {
    await bring(wanted, file);
  } catch (error) {
    if (!checksum) rmSync(file, { force: true });
    throw error;
  }
  if (!checksum) return file;
  progress(`checking ${url}`);
  try {
    await verify(file, checksum, url, signal);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    rmSync(file, { force: true });
    throw new CliError(`${error.message}: it was removed, and no image was made`);
  }
  return file;
}
