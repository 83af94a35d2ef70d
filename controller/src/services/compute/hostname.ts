// The host name that a server gets from its display name.

const MAX_LABEL = 63;

/** Lower case letters, digits and dashes, as RFC 1123 allows; `fallback` when nothing is left. */
export function hostnameFrom(displayName: string, fallback: string): string {
  const label = displayName
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[_\s.]+/g, '-')
    .replaceAll(/[^a-z0-9-]+/g, '')
    .replaceAll(/-{2,}/g, '-')
    .slice(0, MAX_LABEL)
    .replaceAll(/^-+|-+$/g, '');
  return label === '' ? fallback.slice(0, MAX_LABEL).toLowerCase() : label;
}
