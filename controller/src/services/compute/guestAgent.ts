// Whether a server's image promises an agent in the guest.
import type { Server } from '../../db/entities/compute';

const YES = new Set(['yes', 'true', '1', 'on']);

export const hasGuestAgent = ({ image }: Pick<Server, 'image'>): boolean =>
  YES.has(image?.properties['hw_qemu_guest_agent']?.toLowerCase() ?? '');
