// The first schema. Frozen: it makes what databases in use have, whatever entities/ says by now.
import { compute } from './initial/compute';
import { identity } from './initial/identity';
import { image } from './initial/image';
import { network } from './initial/network';
import { placement } from './initial/placement';
import { tasks } from './initial/tasks';
import { migration } from './migration';

export const Initial = migration('Initial1700000000000', [
  ...identity,
  ...image,
  ...network,
  ...compute,
  ...placement,
  ...tasks,
]);
