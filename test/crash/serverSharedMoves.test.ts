// Every fault at every step of servers that leave their host while they run, or after it has died, between hosts that have one directory
// of disks.
import { taskKinds } from '@cumulet/controller';
import { crossWithFaults } from './everyFault';
import { MOVES } from './kinds';

crossWithFaults([...MOVES, ...taskKinds.filter(({ kind }) => kind === 'server.evacuate')], { sharedDisks: true });
