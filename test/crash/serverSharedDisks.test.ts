// Every fault at every step of servers that leave their host while they are off, between hosts that have one directory of disks.
import { crossWithFaults } from './everyFault';
import { RESIZES } from './kinds';

// A resize stays on its host where it can.
crossWithFaults(
  RESIZES.filter(({ kind }) => kind !== 'server.resize'),
  { sharedDisks: true },
);
