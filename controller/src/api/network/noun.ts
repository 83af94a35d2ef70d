// One kind of resource as the API sees it: its attributes, special filters, how rows are shown and changed.
import type { Cloud } from '../../cloud';
import type { Condition, ReadSession, Row, Table } from '../../db';
import type { Caller } from '../../services/caller';
import type { NetworkContext } from '../../services/network/context';
import type { Resource } from '../../services/network/resource';
import type { Attributes, ReadBody } from './attribute';

export interface Viewing {
  readonly session: ReadSession;
  readonly cloud: Cloud;
  readonly caller: Caller;
}

/** A filter that is more than "column is one of these": answers conditions for the list. */
export type SpecialFilter<T extends Table> = (
  values: readonly string[],
  viewing: Viewing,
) => Promise<readonly (Condition<T> | readonly Condition<T>[])[]> | readonly (Condition<T> | readonly Condition<T>[])[];

/** A body to create from, its owner settled. */
interface OwnedBody extends ReadBody {
  readonly projectId: string;
}

export interface Noun<T extends Table = Table> {
  /** Body keys: "network" and "networks". */
  readonly member: string;
  readonly resource: Resource<T>;
  /** Path below the prefix: "/networks"; dashes instead of underscores. */
  readonly path: string;
  readonly attributes: Attributes;
  readonly filters?: Readonly<Record<string, SpecialFilter<T>>>;
  /** False: the resource has no description, tags or revision filters. Default true. */
  readonly standard?: boolean;
  /** Bodies of rows, in their order, with a fixed number of queries. */
  readonly views: (viewing: Viewing, rows: readonly Row<T>[]) => Promise<Record<string, unknown>[]>;
  /** Work before the transaction that makes resources, such as a default group on first use. */
  readonly beforeList?: (cloud: Cloud, caller: Caller) => Promise<void>;
  readonly create?: (context: NetworkContext, body: OwnedBody) => Promise<Row<T>>;
  /** Checks a whole bulk body before any is made. */
  readonly checkBulk?: (items: readonly ReadBody[]) => void;
  readonly update?: (context: NetworkContext, row: Row<T>, values: Record<string, unknown>) => Promise<Row<T>>;
  readonly remove?: (context: NetworkContext, row: Row<T>) => Promise<void>;
  /**
   * Owners of the surroundings that a rule may name: "network:project_id" of a port. Surroundings that the caller can't see
   * don't exist. @throws NotFoundError
   */
  readonly policyTarget?: (
    viewing: Viewing,
    subject: { readonly row?: Row<T>; readonly values: Readonly<Record<string, unknown>> },
  ) => Promise<Readonly<Record<string, unknown>>>;
}
