// What becomes of a finding, in words: what a fix does, or what only the administrator can do.
import type { Finding } from './compare';

const MISSING: Readonly<Record<string, string>> = {
  host: 'start the agents of the host, or find out why they do not answer',
  domain: 'start the server: its domain is defined again',
  disk: 'its bytes are gone: rebuild the server or delete it',
};

/** What `audit --fix` does about it; for a missing domain, disk or host it can do nothing, and this says who can. */
export function remedyOf({ type, kind, host }: Finding): string {
  if (type === 'missing') return MISSING[kind] ?? 'a fix has the agent of its host make it again';
  if (type === 'wrong' && host !== null) return 'do what it says; a fix has the agent of its host try again';
  if (host !== null) return 'a fix has the agent of its host remove it';
  if (kind === 'server') return 'a fix sets it to ERROR, from which it can be rebooted, rebuilt or deleted';
  return kind === 'host' || kind === 'project' ? 'a fix counts it again' : 'a fix removes the row';
}
