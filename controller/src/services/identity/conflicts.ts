// Turns the database's "not unique" into the API's 409.
import { messageOf } from '@cumulet/common';
import { ConflictError } from '../../errors';

/** Runs a write; a duplicate name or id becomes a ConflictError with the given words. */
export async function unique<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (/UNIQUE constraint failed|Duplicate entry/i.test(messageOf(error))) throw new ConflictError(words);
    throw error;
  }
}
