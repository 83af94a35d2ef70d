// Makes tasks due in a way that whoever holds them notices.
import type { FindOptionsWhere } from 'typeorm';
import { tasks, type Task } from '../entities/tasks';
import { updateWhere, type WriteSession } from '../session';
import { Expression } from '../sql';

/** A time to run that is at most this many milliseconds from now was just set by other news. */
const JUST_SET_MS = 100;

/**
 * Sets `run_at` of the tasks that fit to now, with other columns; returns how many they are. Their dispatcher knows by another value
 * that there is news, so of two that come within one millisecond the second sets the next one: else it is not heard before the
 * step has waited to its end.
 * @param now milliseconds since the epoch
 */
export async function makeDue(
  session: WriteSession,
  where: FindOptionsWhere<Task>,
  now: number,
  set: Partial<Task> = {},
): Promise<number> {
  const due = new Expression('CASE WHEN run_at BETWEEN ? AND ? THEN run_at + 1 ELSE ? END', [
    now,
    now + JUST_SET_MS,
    now,
  ]);
  return updateWhere(session, tasks, where, { ...set, run_at: due });
}
