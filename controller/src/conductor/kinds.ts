// All task kinds that this version knows.
import type { TaskKind } from './task';

export const taskKinds: readonly TaskKind[] = [];
