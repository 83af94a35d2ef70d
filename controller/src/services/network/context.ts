// What an operation of the network service works with: one transaction and who asks.
import type { Cloud } from '../../cloud';
import type { ReadSession, WriteSession } from '../../db';
import type { Caller } from '../caller';

/** Who asks, and the session that answers. */
export interface Asking {
  readonly session: ReadSession;
  readonly cloud: Cloud;
  readonly caller: Caller;
}

export interface NetworkContext {
  readonly session: WriteSession;
  readonly cloud: Cloud;
  readonly caller: Caller;
}

/** Columns that change with every change of a resource. */
export function touched(context: Pick<NetworkContext, 'cloud'>, row: { readonly revision: number }) {
  return { updated_at: context.cloud.clock.now(), revision: row.revision + 1 };
}
