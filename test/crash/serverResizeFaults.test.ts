// Every fault at every step of resizing and migrating servers, and of confirming, reverting and undoing that.
import { crossWithFaults } from './everyFault';
import { RESIZES } from './kinds';

crossWithFaults(RESIZES);
