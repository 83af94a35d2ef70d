// The directory of image bytes, and the mark in it by which controllers know that they share it: a directory that is not mounted, or
// that is another cloud's, must be called so, not look like one whose images are gone.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, isUuid, messageOf, newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import { cloudFacts } from '../../db/entities/cloud';
import { ApiError } from '../../errors';
import { makeNewFile } from '../../newFile';
import { orElseDone } from '../identity/conflicts';

/** Holds the id that the database knows as the fact of the same name. */
const MARK = '.cumulet-images';
const FACT = 'image_store';

type Place = Pick<Cloud, 'config'>;

/** The directory of all image files. */
export const imageDirectory = ({ config }: Place): string => config.image.dir ?? join(config.data_dir, 'images');

/** The id in a directory; undefined when it has no mark. @throws the system's error */
async function markIn(directory: string): Promise<string | undefined> {
  try {
    return (await readFile(join(directory, MARK), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const knownId = async (session: ReadSession): Promise<string | undefined> =>
  (await session.findOne(cloudFacts, { name: FACT }))?.value;

/** What is wrong with a directory, when the cloud knows its images by this id. */
function wrongDirectory(directory: string, found: string | undefined, known: string): ConfigError {
  const why =
    found === undefined
      ? `it has no file ${MARK}. Mount the directory that the controllers share, or let image.dir name it; ` +
        `if it is the right one, restored without that file: echo ${known} > ${join(directory, MARK)}`
      : `its file ${MARK} says that it is another cloud's (${found}, not ${known})`;
  return new ConfigError(`${directory} is not this cloud's directory of images: ${why}`, { key: 'image.dir' });
}

/** @throws ConfigError, the system's error */
async function requireMark(directory: string, known: string): Promise<void> {
  const found = await markIn(directory);
  if (found !== known) throw wrongDirectory(directory, found, known);
}

/** Compares the directory with the database, if that knows one. Changes nothing. @throws ConfigError, the system's error */
export async function requireFittingStore(session: ReadSession, place: Place): Promise<void> {
  const known = await knownId(session);
  if (known !== undefined) await requireMark(imageDirectory(place), known);
}

/** Marks the directory of a cloud that has no mark yet. @throws ConfigError when the directory is in use by another cloud */
async function begin({ db }: Pick<Cloud, 'db'>, directory: string): Promise<void> {
  const found = await markIn(directory);
  if (found !== undefined && (await readdir(directory)).some((name) => isUuid(name.split('.')[0] ?? '')))
    throw new ConfigError(
      `${directory} holds the images of another cloud (${found}); if they are this one's, remove ${join(directory, MARK)}`,
      { key: 'image.dir' },
    );
  const isMade = found === undefined && makeNewFile(join(directory, MARK), `${newId()}\n`);
  const own = (await markIn(directory)) ?? '';
  await orElseDone(() => db.write((session) => session.insert(cloudFacts, { name: FACT, value: own })));
  const known = (await db.read(knownId)) ?? '';
  if (known === own) return;
  // Another controller began with another directory at the same moment.
  if (isMade) await rm(join(directory, MARK));
  throw wrongDirectory(directory, undefined, known);
}

/** Makes the directory and its mark at the cloud's first start; later it must be the one. @throws ConfigError */
export async function openImageStore(cloud: Pick<Cloud, 'config' | 'db'>): Promise<void> {
  const directory = imageDirectory(cloud);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await cloud.db.read(knownId)) === undefined) await begin(cloud, directory);
  await cloud.db.read((session) => requireFittingStore(session, cloud));
}

/**
 * The directory, before something is written there or called lost.
 * @throws ApiError 503 when it is not there by now, as when its file system is not mounted; the log says where
 */
export async function requireImageStore(cloud: Pick<Cloud, 'config' | 'db' | 'log'>): Promise<string> {
  const directory = imageDirectory(cloud);
  const known = await cloud.db.read(knownId);
  try {
    await requireMark(directory, known ?? '');
    return directory;
  } catch (error) {
    cloud.log.error({ error: messageOf(error) }, 'the directory of images is not there');
    throw new ApiError(503, 'ImageStoreAway', 'The data of images can not be reached at the moment; try again later.');
  }
}
