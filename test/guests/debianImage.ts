// The Debian guest's image for tests: built once per recipe into a cache directory of the checkout.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/checkout';

const recipe = path.join(root, 'test/guests/debian.sh');
const cache = path.join(root, '.tmp/guests');

/** Path of an up-to-date image; builds it (a minute) when the recipe changed. */
export function debianImage(): string {
  const digest = createHash('sha256').update(readFileSync(recipe)).digest('hex').slice(0, 12);
  const image = path.join(cache, `debian-12-${digest}.qcow2`);
  if (existsSync(image)) return image;
  mkdirSync(cache, { recursive: true });
  for (const old of readdirSync(cache)) rmSync(path.join(cache, old));
  execFileSync(recipe, [image], { stdio: 'pipe' });
  return image;
}
