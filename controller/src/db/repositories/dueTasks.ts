// Makes tasks due in a way that whoever holds them notices.
import type { FindOptionsWhere, ObjectLiteral } from 'typeorm';
import { tasks, type Task } from '../entities/tasks';
import { managerOf, type WriteSession } from '../session';

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
  const result = await managerOf(session)
    .createQueryBuilder()
    .update<ObjectLiteral>(tasks.name)
    .set({ ...set, run_at: () => 'CASE WHEN run_at BETWEEN :now AND :latest THEN run_at + 1 ELSE :now END' })
    .setParameters({ now, latest: now + JUST_SET_MS })
    .where(where)
    .execute();
  return Number(result.affected);
}
