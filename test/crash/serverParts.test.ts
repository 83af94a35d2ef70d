// Every fault at every step of changing the interfaces of servers and of making images of them.
import { crossWithFaults } from './everyFault';
import { PARTS } from './kinds';

crossWithFaults(PARTS);
