// Checksums of files as sha256sum and sha512sum write them: which one a file should have.
import { CliError } from '../errors';

/** What a file must have. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'sha512';
  /** In small hexadecimal digits. */
  readonly digest: string;
}

/** The algorithm is told by the length, as SHA-256 and SHA-512 are the ones that are taken. */
function checksum(digest: string): Checksum | undefined {
  const algorithm = ({ 64: 'sha256', 128: 'sha512' } as const)[digest.length];
  return algorithm && { algorithm, digest: digest.toLowerCase() };
}

/** `HASH  file` (`*file` for bytes), or `SHA256 (file) = HASH`. */
const LINES = [/^(?<digest>[0-9a-f]+)\s+\*?(?<file>\S+)$/i, /^SHA\d+ \((?<file>.+)\) = (?<digest>[0-9a-f]+)$/i];

/** The checksum of a file by the list beside it; signatures and comments around are passed over.
 * @throws CliError when the file has none, or different ones */
export function checksumOf(list: string, file: string, where: string): Checksum {
  const found = list
    .split(/\r?\n/)
    .flatMap((line) => LINES.map((pattern) => pattern.exec(line.trim())?.groups))
    .filter((groups) => groups?.['file']?.replace(/^\.\//, '') === file)
    .map((groups) => checksum(groups?.['digest'] ?? ''))
    .filter((one) => one !== undefined);
  const [first] = found;
  if (!first) throw new CliError(`${where} has no SHA-256 or SHA-512 checksum of ${file}: nothing was taken`);
  const same = found.filter(({ algorithm }) => algorithm === first.algorithm);
  if (same.some(({ digest }) => digest !== first.digest))
    throw new CliError(`${where} has different checksums of ${file}: nothing was taken`);
  return first;
}

/** A checksum as the user says it, with or without the name of its algorithm. @throws CliError with status 2 for anything else */
export function readChecksum(value: string): Checksum {
  const found = /^(?:sha(?:256|512):)?([0-9a-f]+)$/i.exec(value.trim())?.[1];
  const one = checksum(found ?? '');
  if (!one) throw new CliError(`--checksum takes a SHA-256 or SHA-512 sum, or the URL of a list, not "${value}"`, 2);
  return one;
}
