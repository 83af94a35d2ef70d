// What hosts say of many ports, in one statement.
import { In } from '../operators';
import { ports, type Port } from '../entities/network';
import { updateWhere, type WriteSession } from '../session';
import { Expression } from '../sql';

/** Gives ports that the transaction holds a status and a fault. */
export async function setPortStatus(
  session: WriteSession,
  ids: readonly string[],
  set: Pick<Port, 'status' | 'fault' | 'updated_at'>,
): Promise<void> {
  await updateWhere(session, ports, { id: In([...ids]) }, { ...set, revision: new Expression('revision + 1') });
}
