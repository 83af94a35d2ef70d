// Times as the identity API writes them.

/** ISO 8601 in UTC with microseconds: 2026-01-01T00:00:00.000000Z. */
export function identityTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/(\.\d{3})Z$/, '$1000Z');
}
