// Every fault at every step of the power actions of servers, and of rebuilding them.
import { crossWithFaults } from './everyFault';
import { POWER } from './kinds';

crossWithFaults(POWER);
