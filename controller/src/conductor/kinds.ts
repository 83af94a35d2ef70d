// All task kinds that this version knows.
import type { TaskKind } from './task';
import { serverCreate } from './tasks/serverCreate';
import { serverEvacuate } from './tasks/serverEvacuate';
import { serverImageKinds } from './tasks/serverImages';
import { serverInterfaceKinds } from './tasks/serverInterfaces';
import { serverLiveMigrate } from './tasks/serverLiveMigrate';
import { serverUndoLiveMigration } from './tasks/serverLiveUndo';
import { serverPowerKinds } from './tasks/serverPower';
import { serverResizeKinds } from './tasks/serverResize';
import { serverResizeEndKinds } from './tasks/serverResizeEnd';
import { serverOffload, serverShelve, serverUndoShelve } from './tasks/serverShelve';
import { serverCleanup, serverDelete } from './tasks/serverTeardown';
import { serverUndoUnshelve, serverUnshelve } from './tasks/serverUnshelve';

export const taskKinds: readonly TaskKind[] = [
  serverCreate,
  serverDelete,
  serverCleanup,
  ...serverPowerKinds,
  ...serverInterfaceKinds,
  ...serverImageKinds,
  ...serverResizeKinds,
  ...serverResizeEndKinds,
  serverEvacuate,
  serverLiveMigrate,
  serverUndoLiveMigration,
  serverShelve,
  serverOffload,
  serverUndoShelve,
  serverUnshelve,
  serverUndoUnshelve,
];
