// Every fault at every step of migrating servers while they run, and of undoing that.
import { crossWithFaults } from './everyFault';
import { MOVES } from './kinds';

crossWithFaults(MOVES);
