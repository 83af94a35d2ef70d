// What the bodies of all resources share: owner under both names, times, revision, tags.

/** Whole seconds with Z, as the network API writes times. */
const isoSeconds = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;

interface StandardRow {
  readonly id: string;
  readonly project_id: string;
  readonly description: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly revision: number;
}

/** Keys of every resource; `tags` only where the resource can have some. */
export function standardView(row: StandardRow, tags?: readonly string[]): Record<string, unknown> {
  return {
    id: row.id,
    tenant_id: row.project_id,
    project_id: row.project_id,
    description: row.description,
    ...(tags ? { tags } : {}),
    created_at: isoSeconds(row.created_at),
    updated_at: isoSeconds(row.updated_at),
    revision_number: row.revision,
  };
}
