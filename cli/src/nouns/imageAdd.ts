// cumulet image add: a stock image by its short name, or any by URL or file, checked, and with the properties that servers need.
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { text, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { pairs, said, sets } from '../fields';
import { upload } from '../imageData';
import { get, idOf, pathOf, rowsOf } from '../resource';
import { checksumOf, readChecksum, type Checksum } from '../stock/checksum';
import { readHeader } from '../stock/diskHeader';
import { download, verify } from '../stock/download';
import { getText } from '../stock/fetch';
import { mirrored, SOURCES } from '../stock/sources';
import { didYouMean } from '../suggest';
import { image } from './resources';

const GIB = 1024 ** 3;
/** The property that tells where an image is from, by which the rest of an interrupted run is known. */
const ORIGIN = 'image_source';

/** What is to be added: a file here, or a URL, and what is known of it. */
interface Wanted {
  readonly name: string;
  /** What the file is called in a list of checksums. */
  readonly called: string;
  readonly file?: string;
  readonly url?: string;
  /** The URL of a list of checksums. */
  readonly checksums?: string;
  readonly properties: Row;
}

const isWeb = (word: string): boolean => /^https?:\/\//i.test(word) && URL.canParse(word);
/** A name without the endings of disks. */
const withoutEnding = (file: string): string => file.replace(/\.(qcow2|img|raw)$/, '') || file;

/** What the words of the command line mean. @throws CliError for what is neither a stock image, a URL nor a file */
function understand(given: string, mirror: string | undefined): Wanted {
  const source = SOURCES.get(given);
  if (source) {
    if (mirror !== undefined && !isWeb(mirror)) throw new CliError(`--mirror takes a URL, not "${mirror}"`, 2);
    const { url, checksums, ...system } = source;
    const at = (official: string): string => (mirror === undefined ? official : mirrored(official, mirror));
    const properties = { ...system, architecture: 'x86_64', [ORIGIN]: url };
    return { name: given, called: path.posix.basename(url), url: at(url), checksums: at(checksums), properties };
  }
  if (mirror !== undefined) throw new CliError(`--mirror is for stock images: ${[...SOURCES.keys()].join(', ')}`, 2);
  if (isWeb(given)) {
    const file = decodeURIComponent(path.posix.basename(new URL(given).pathname));
    if (file === '') throw new CliError(`${given} names no file`, 2);
    return { name: withoutEnding(file), called: file, url: given, properties: { [ORIGIN]: given } };
  }
  const file = path.basename(given);
  if (existsSync(given))
    return { name: withoutEnding(file), called: file, file: given, properties: { [ORIGIN]: file } };
  const names = [...SOURCES.keys()];
  const hint = didYouMean(given, names);
  throw new CliError(`"${given}" is no stock image, URL or file${hint || '.'} Stock images are ${names.join(', ')}`, 2);
}

/** The checksum that is to be met, and in words where it is from. */
async function checksumFor(
  { input }: Context,
  { url, checksums, called }: Wanted,
  signal: AbortSignal,
): Promise<{ checksum?: Checksum; told: string }> {
  const given = input.text('checksum');
  const list = given === undefined ? checksums : isWeb(given) ? given : undefined;
  if (list !== undefined) {
    const checksum = checksumOf(await getText(list, signal), called, list);
    return { checksum, told: `${checksum.algorithm} of ${list}` };
  }
  if (given !== undefined) {
    const checksum = readChecksum(given);
    return { checksum, told: `${checksum.algorithm} of --checksum` };
  }
  if (url !== undefined && !/^https:/i.test(url))
    throw new CliError(`${url} is not protected on its way: say what it must be with --checksum`, 2);
  return { told: 'no, as no --checksum was given' };
}

/** Sees to it that the name is free: the rest of an interrupted run is taken away. @throws CliError when it is not */
async function freeName({ api }: Context, { name, properties }: Wanted): Promise<void> {
  for (const row of await rowsOf(api, image, { name })) {
    const begun = row[ORIGIN] === properties[ORIGIN] && ['queued', 'saving'].includes(String(row['status']));
    if (!begun)
      throw new CliError(
        `an image is called ${name} already (${idOf(image, row)}): give --name, or delete it with "cumulet image delete ${name}"`,
      );
    await api.json('image', 'DELETE', pathOf(image, idOf(image, row)));
  }
}

/** Makes the image of a file; nothing stays when its data is not taken. @returns its id */
async function make(context: Context, file: string, size: number, body: Row, signal: AbortSignal): Promise<string> {
  const { api } = context;
  const id = idOf(image, await api.json('image', 'POST', image.path, body));
  try {
    await upload(context, id, file, size, signal);
    return id;
  } catch (error) {
    const cause = signal.aborted ? 'interrupted' : (error as Error).message;
    const left = await api.json('image', 'DELETE', pathOf(image, id)).then(
      () => 'no image was made',
      (failure: Error) => `image ${id} could not be deleted: ${failure.message}`,
    );
    throw new CliError(`${cause}; ${left}`);
  }
}

async function addImage(context: Context, signal: AbortSignal): Promise<Row> {
  const { api, input, progress } = context;
  const understood = understand(input.arg(0), input.text('mirror'));
  const wanted = { ...understood, name: input.text('name') ?? understood.name };
  await freeName(context, wanted);
  const { checksum, told } = await checksumFor(context, wanted, signal);
  const { url } = wanted;
  const fetched = url === undefined ? undefined : await download({ url, checksum, signal, progress });
  const file = fetched ?? wanted.file ?? '';
  try {
    const { format, virtualSize, size } = await readHeader(file, url ?? file);
    if (!fetched && checksum) await verify(file, checksum, file, signal);
    signal.throwIfAborted();
    const body = {
      name: wanted.name,
      container_format: 'bare',
      disk_format: format,
      min_disk: Math.ceil(virtualSize / GIB),
      ...wanted.properties,
      ...(await said(context, properties)),
    };
    const id = await make(context, file, size, body, signal);
    if (fetched) rmSync(fetched, { force: true });
    return { ...(await get(api, image, id)), verified: told };
  } catch (error) {
    // What was checked is there for the next run; what was not could not be known again.
    if (fetched && !checksum) rmSync(fetched, { force: true });
    throw error;
  }
}

const properties: Options = {
  public: sets({ visibility: 'public' }, 'let every project use it (administrators)'),
  property: pairs(undefined, 'a property of it'),
};

const add: Command = {
  name: 'image add',
  summary: `Add a stock image (${[...SOURCES.keys()].join(', ')}), or that of a URL or file`,
  example: '--public debian-12',
  args: ['image'],
  options: {
    name: text('its name; that of the stock image or file unless said', 'NAME'),
    checksum: text('the SHA-256 or SHA-512 sum that it must have, or the URL of a list with it', 'SUM'),
    mirror: text('web server that has the files of stock images under host and path', 'URL'),
    ...properties,
  },
  async run(context) {
    const stop = new AbortController();
    const end = (): void => stop.abort();
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.on(signal, end);
    try {
      return { one: await addImage(context, stop.signal) };
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      const words = error instanceof CliError ? error.message : 'interrupted';
      throw new CliError(`${words}; running it again goes on from there`, 130);
    } finally {
      for (const signal of signals) process.removeListener(signal, end);
      context.progress('');
    }
  },
};

export const commands: readonly Command[] = [add];
