// Every fault at every step of shelving servers and of having them back.
import { crossWithFaults } from './everyFault';
import { SHELVES } from './kinds';

crossWithFaults(SHELVES);
