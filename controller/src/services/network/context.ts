// What an operation of the network service works with: one transaction and who asks.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import type { Caller } from '../caller';

export interface NetworkContext {
  readonly session: WriteSession;
  readonly cloud: Cloud;
  readonly caller: Caller;
}

/** Columns that change with every change of a resource. */
export function touched(context: Pick<NetworkContext, 'cloud'>, row: { readonly revision: number }) {
  return { updated_at: context.cloud.clock.now(), revision: row.revision + 1 };
}
