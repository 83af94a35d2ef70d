// All migrations, oldest first. How to add one: docs/architecture.md.
import { Initial } from './initial';
import { PlacementSettings } from './placementSettings';

export const migrations = [Initial, PlacementSettings] as const;
