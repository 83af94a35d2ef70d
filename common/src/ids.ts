// Ids and the names derived from them.
import { randomUUID } from 'node:crypto';

/** A new random id in the textual UUID form that all APIs use. */
export function newId(): string {
  return randomUUID();
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** Whether a text is a UUID, with or without dashes. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/**
 * The name of a network interface that belongs to a resource: a prefix and 11 hexadecimal digits of the id.
 * Linux allows 15 characters, so the prefix has at most 4.
 */
export function interfaceName(prefix: 'br' | 'tap' | 'vx' | 'qr' | 'qg' | 'dh', id: string): string {
  return prefix + id.replaceAll('-', '').slice(0, 11);
}
