// The demo guest's image for tests: built once per recipe into a cache directory of the checkout.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout';

const recipe = path.join(root, 'images/tiny');

/** Where packages, the unpacked trees and the built images of the demo guest are kept between test runs. */
export const tinyCache = path.join(root, '.tmp/tiny');

/** Builds what is missing. Tests that run beside each other want it at once, and builds share a directory: one at a time. */
const BUILD = '[ -e "$1" ] || exec "$0" "$1" "$2"';

/** Builds the demo guest, unless it is there.
 * @param env - variables added to the environment of the build
 * @throws Error with the build's messages when it fails */
export function buildTinyImage(out: string, env: NodeJS.ProcessEnv = {}): void {
  mkdirSync(tinyCache, { recursive: true });
  const build = [path.join(recipe, 'build.sh'), out, path.join(tinyCache, 'work')];
  execFileSync('flock', [path.join(tinyCache, 'lock'), 'sh', '-c', BUILD, ...build], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
}

/** Path of an up-to-date image of the demo guest; builds it (some seconds) when the recipe changed. */
export function tinyImage(): string {
  const digest = createHash('sha256');
  for (const name of readdirSync(recipe).sort()) digest.update(name).update(readFileSync(path.join(recipe, name)));
  const name = `tiny-${digest.digest('hex').slice(0, 12)}.qcow2`;
  const image = path.join(tinyCache, name);
  if (existsSync(image)) return image;
  buildTinyImage(image);
  for (const old of readdirSync(tinyCache))
    if (old.endsWith('.qcow2') && old !== name) rmSync(path.join(tinyCache, old), { force: true });
  return image;
}
