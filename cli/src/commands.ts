// Every command there is.
import type { Command } from './command';
import { catalogCommands } from './nouns/catalogs';
import { imageCommands } from './nouns/image';
import { networkNouns } from './nouns/network';
import { securityGroupCommands } from './nouns/securityGroup';
import { serverCommands } from './nouns/server';
import { serverPowerCommands } from './nouns/serverPower';
import { whyCommands } from './nouns/why';

export const commands: readonly Command[] = [
  ...serverCommands,
  ...serverPowerCommands,
  ...imageCommands,
  ...networkNouns,
  ...securityGroupCommands,
  ...catalogCommands,
  ...whyCommands,
];
