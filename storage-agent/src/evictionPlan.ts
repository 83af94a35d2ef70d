// Which cached images go: those that no disk uses, when they are old or room is short. Pure.

export interface CachedImage {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** When a disk was last made from it, in milliseconds since the epoch. */
  readonly usedAt: number;
  /** Whether a disk stands on it. */
  readonly inUse: boolean;
}

export interface EvictionLimits {
  /** Milliseconds that an unused image is kept. */
  readonly keepMs: number;
  /** Bytes that should stay free: below it, unused images go however young. */
  readonly minFreeBytes: number;
}

/** Milliseconds within which a use may not have left its mark yet. */
const JUST_USED_MS = 60_000;

/** The digests to remove, the longest unused first. `needed` are bytes that are about to be written. */
export function evictionPlan(
  images: readonly CachedImage[],
  room: { readonly free: number; readonly now: number; readonly needed: number },
  limits: EvictionLimits,
): readonly string[] {
  let free = room.free - room.needed;
  const gone: string[] = [];
  const unused = images.filter(({ inUse, usedAt }) => !inUse && room.now - usedAt > JUST_USED_MS);
  for (const { digest, size, usedAt } of unused.toSorted((a, b) => a.usedAt - b.usedAt)) {
    if (room.now - usedAt <= limits.keepMs && free >= limits.minFreeBytes) continue;
    gone.push(digest);
    free += size;
  }
  return gone;
}
