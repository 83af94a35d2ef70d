// What a write means that the database refuses as not unique: the API's 409, or that somebody else was faster.
import { isDuplicate } from '../../db';
import { ConflictError } from '../../errors';

/** Runs a write that somebody else may just have done too. Returns false when it was the other. */
export async function orElseDone(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

/** Runs a write; a duplicate name or id becomes a ConflictError with the given words. */
export async function unique<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDuplicate(error)) throw new ConflictError(words);
    throw error;
  }
}
