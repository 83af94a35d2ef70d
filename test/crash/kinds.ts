// Which file of the generic crash test crosses which kinds of task with the faults.
import { taskKinds } from '@cumulet/controller';

/** Their images and interfaces. */
export const PARTS = taskKinds.filter(({ kind }) => /Image|Backup|Interface/.test(kind));
export const LIFE = taskKinds.filter(({ kind }) => ['server.create', 'server.delete', 'server.cleanup'].includes(kind));
/** Resizing them, with what undoes it. */
export const RESIZES = taskKinds.filter(({ kind }) => /Resize|resize|migrate/.test(kind));
/** Migrating them while they run. */
export const MOVES = taskKinds.filter(({ kind }) => /Migrat/.test(kind));
/** Taking them off their hosts, and back. */
export const SHELVES = taskKinds.filter(({ kind }) => /[sS]helve/.test(kind));
/** The rest: power actions, and what is like them. */
export const POWER = taskKinds.filter((kind) => ![...PARTS, ...LIFE, ...RESIZES, ...MOVES, ...SHELVES].includes(kind));
