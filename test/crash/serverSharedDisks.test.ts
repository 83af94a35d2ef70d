// Every fault at every step of what moves servers, between hosts that have one directory of disks.
import { taskKinds } from '@cumulet/controller';
import { crossWithFaults } from './everyFault';

const MOVING = /migrat|evacuate|(confirm|revert|undo)Resize/i;

crossWithFaults(
  taskKinds.filter(({ kind }) => MOVING.test(kind)),
  { sharedDisks: true },
);
