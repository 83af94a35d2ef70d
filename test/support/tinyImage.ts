// The demo guest's image for tests: built once per recipe into a cache directory of the checkout.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout';

const recipe = path.join(root, 'images/tiny');

/** Where packages, the unpacked trees and the built images of the demo guest are kept between test runs. */
export const tinyCache = path.join(root, '.tmp/tiny');

/** Builds the demo guest.
 * @param env - variables added to the environment of the build
 * @throws Error with the build's messages when it fails */
export function buildTinyImage(out: string, env: NodeJS.ProcessEnv = {}): void {
  execFileSync(path.join(recipe, 'build.sh'), [out, path.join(tinyCache, 'work')], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
}

/** Path of an up-to-date image of the demo guest; builds it (some seconds) when the recipe changed. */
export function tinyImage(): string {
  const digest = createHash('sha256');
  for (const name of readdirSync(recipe).sort()) digest.update(name).update(readFileSync(path.join(recipe, name)));
  const image = path.join(tinyCache, `tiny-${digest.digest('hex').slice(0, 12)}.qcow2`);
  if (existsSync(image)) return image;
  mkdirSync(tinyCache, { recursive: true });
  for (const old of readdirSync(tinyCache)) if (old.endsWith('.qcow2')) rmSync(path.join(tinyCache, old));
  buildTinyImage(image);
  return image;
}
