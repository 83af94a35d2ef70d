// How much the process of a controller keeps of what nobody needs any more.
import { setFlagsFromString } from 'node:v8';

/** Percent of what is alive that may pile up until memory is looked through again. */
const GROWTH = 50;

/**
 * Lets the heap grow by half of what is alive between two collections of garbage. By itself V8 lets it grow several times over, which
 * makes a busy controller of 40 MB take 500 (docs/adr/0028-memory.md).
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
}
