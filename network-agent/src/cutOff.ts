// Taps that somebody removed from under their guests: they are made anew, but QEMU holds the old one, and only its next start opens the new.
import type { ObservedLink } from './linkPlan';
import type { DesiredTap } from './links';

/** For the owner of the port. */
export const CUT_OFF =
  'its interface on the host was removed by hand; it is there again, and a hard reboot or a start connects the server to it';

/**
 * Ports whose guests have lost their tap.
 * @param before those that had lost it the last time
 * @param wired those that had a tap the last time
 * @param links the host's as they were found, before anything is made
 */
export function cutOffPorts(
  before: ReadonlySet<string>,
  wired: ReadonlySet<string>,
  taps: readonly DesiredTap[],
  links: ReadonlyMap<string, ObservedLink>,
): Set<string> {
  const lost = taps.filter(({ name, portId }) => {
    const there = links.get(name);
    return there ? before.has(portId) && !there.carrier : wired.has(portId);
  });
  return new Set(lost.map(({ portId }) => portId));
}
