// Decides whether received bytes are what the image says they are, and how large a disk they describe.
import { messageOf } from '@cumulet/common';
import type { Image } from '../../db/entities/image';
import { ApiError } from '../../errors';
import type { Inspection } from './inspector/inspect';
import { inspectFile } from './inspector/inspectFile';

/** Declared formats whose bytes have a header of their own. */
const STRUCTURED = ['qcow2', 'vmdk', 'vdi', 'vhdx'];

function invalidData(message: string): ApiError {
  return new ApiError(415, 'InvalidImageData', message);
}

/** What is wrong with an image that declares a format, in words; undefined when nothing is. */
export function formatProblem(declared: string, found: Inspection): string | undefined {
  if (found.problems.length > 0) {
    return `Image failed safety checks: it looks like ${found.format}, and ${found.problems.join(', ')}.`;
  }
  const fits = STRUCTURED.includes(declared)
    ? found.format === declared
    : declared === 'vhd'
      ? found.format === 'vhd' || (found.format === 'raw' && found.contents.includes('vhd'))
      : declared === 'iso'
        ? found.format === 'raw' && found.contents.includes('iso')
        : found.format === 'raw';
  return fits ? undefined : `Image disk_format ${declared} does not match stream data ${found.format}.`;
}

/**
 * Inspects a received file. What is inside other containers than "bare" is not looked at; no server boots from it.
 * @returns the virtual size in bytes, or null when the container hides it.
 * @throws ApiError (415) when the bytes are dangerous or not of the declared format.
 */
export async function verifyFormat(
  image: Pick<Image, 'disk_format' | 'container_format'>,
  path: string,
): Promise<number | null> {
  if (image.container_format !== 'bare') return null;
  let found: Inspection;
  try {
    found = await inspectFile(path);
  } catch (error) {
    throw invalidData(`Image format inspection failed: ${messageOf(error).slice(0, 200)}`);
  }
  const problem = formatProblem(image.disk_format ?? 'raw', found);
  if (problem !== undefined) throw invalidData(problem);
  return found.virtualSize;
}
