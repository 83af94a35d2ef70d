// Where the checkout is, from sources and from compiled tests alike: the nearest folder above with the lock file.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const above = (from: string): string => (existsSync(join(from, 'package-lock.json')) ? from : above(dirname(from)));

export const root = above(__dirname);
