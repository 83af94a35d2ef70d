// The config drive: a small ISO 9660 file system labelled "config-2" with the server's metadata, as cloud-init looks for it.
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, normalize, isAbsolute } from 'node:path';
import { HostError, type Exec } from '@cumulet/common';

/** Files by path, base64. */
export type ConfigDriveFiles = Readonly<Record<string, string>>;

/** The file's name says what is in it, so the same files never make a second drive. */
export function configDriveName(files: ConfigDriveFiles): string {
  const hash = createHash('sha256');
  for (const path of Object.keys(files).sort()) hash.update(JSON.stringify([path, files[path]]));
  return `config-${hash.digest('hex').slice(0, 16)}.iso`;
}

function assertInside(path: string): void {
  const clean = normalize(path);
  if (!isAbsolute(clean) && clean !== '.' && !clean.split('/').includes('..') && !clean.includes('\0')) return;
  throw new HostError('bad_config_drive', 'the config drive names a file outside of itself', {
    retryable: false,
    facts: { path },
  });
}

/** Makes the drive at `path` unless it is there. A drive that is there is whole: it gets its name last. @throws HostError, CommandError */
export async function ensureConfigDrive(exec: Exec, path: string, files: ConfigDriveFiles): Promise<void> {
  Object.keys(files).forEach(assertInside);
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (there) return;
  const work = `${path}.${randomUUID()}`;
  const tree = join(work, 'tree');
  try {
    for (const [name, content] of Object.entries(files)) {
      const file = join(tree, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, Buffer.from(content, 'base64'), { mode: 0o644 });
    }
    await mkdir(tree, { recursive: true });
    const made = join(work, 'drive.iso');
    await exec(['genisoimage', '-quiet', '-V', 'config-2', '-J', '-R', '-o', made, tree]);
    await rename(made, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
