// Bodies of POST /servers/{id}/action: one key, named after the action.
import { address, boolean, byVersion, metadata, name, object } from './schemaTypes';

const bare = (key: string): object => object({ [key]: {} }, [key]);

export const startSchema = bare('os-start');
export const stopSchema = bare('os-stop');
export const pauseSchema = bare('pause');
export const unpauseSchema = bare('unpause');
export const suspendSchema = bare('suspend');
export const resumeSchema = bare('resume');
export const unlockSchema = bare('unlock');
export const forceDeleteSchema = bare('forceDelete');
export const rebootSchema = object(
  { reboot: object({ type: { enum: ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft'] } }, ['type']) },
  ['reboot'],
);
export const lockSchema = byVersion((minor) =>
  minor < 73
    ? bare('lock')
    : object(
        {
          lock: {
            anyOf: [
              { type: 'null' },
              {
                type: 'object',
                properties: { locked_reason: { type: 'string', minLength: 1, maxLength: 255 } },
                additionalProperties: false,
              },
            ],
          },
        },
        ['lock'],
      ),
);
export const consoleSchema = object(
  {
    'os-getConsoleOutput': object({
      length: { type: ['integer', 'string', 'null'], pattern: '^-?[0-9]+$', minimum: -1 },
    }),
  },
  ['os-getConsoleOutput'],
);
const consoleOf = (action: string, types: readonly string[]): object =>
  object({ [action]: object({ type: { enum: types } }, ['type']) }, [action]);
export const vncConsoleSchema = consoleOf('os-getVNCConsole', ['novnc', 'xvpvnc']);
export const spiceConsoleSchema = consoleOf('os-getSPICEConsole', ['spice-html5']);
export const rdpConsoleSchema = consoleOf('os-getRDPConsole', ['rdp-html5']);
export const serialConsoleSchema = consoleOf('os-getSerialConsole', ['serial']);
export const resetStateSchema = object(
  { 'os-resetState': object({ state: { enum: ['active', 'error'] } }, ['state']) },
  ['os-resetState'],
);
export const groupSchema = (action: string): object => object({ [action]: object({ name }, ['name']) }, [action]);
export const changePasswordSchema = object(
  { changePassword: object({ adminPass: { type: 'string' } }, ['adminPass']) },
  ['changePassword'],
);
export const createImageSchema = object({ createImage: object({ name, metadata }, ['name']) }, ['createImage']);
export const createBackupSchema = object(
  {
    createBackup: object(
      {
        name,
        backup_type: { type: 'string' },
        rotation: { type: ['integer', 'string'], pattern: '^[0-9]+$', minimum: 0 },
        metadata,
      },
      ['name', 'backup_type', 'rotation'],
    ),
  },
  ['createBackup'],
);
export const addFixedIpSchema = object(
  { addFixedIp: object({ networkId: { type: ['string', 'number'], minLength: 1, maxLength: 255 } }, ['networkId']) },
  ['addFixedIp'],
);
export const removeFixedIpSchema = object({ removeFixedIp: object({ address }, ['address']) }, ['removeFixedIp']);

export const resizeSchema = object(
  {
    resize: object(
      {
        flavorRef: { type: ['string', 'integer'], minLength: 1 },
        'OS-DCF:diskConfig': { enum: ['AUTO', 'MANUAL'] },
      },
      ['flavorRef'],
    ),
  },
  ['resize'],
);
export const confirmResizeSchema = object({ confirmResize: { type: 'null' } }, ['confirmResize']);
export const revertResizeSchema = object({ revertResize: { type: 'null' } }, ['revertResize']);
/** Until 2.56 whatever stands there says nothing. */
export const migrateSchema = byVersion((minor) =>
  minor < 56
    ? bare('migrate')
    : object(
        {
          migrate: {
            anyOf: [
              { type: 'null' },
              object({
                host: { type: ['string', 'null'], minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' },
              }),
            ],
          },
        },
        ['migrate'],
      ),
);

const hostName = { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' };
/** Before 2.14 the caller says whether disks are shared; from 2.29 to 2.67 a host may be forced. */
export const evacuateSchema = byVersion((minor) => {
  const shared = minor < 14 ? { onSharedStorage: boolean } : {};
  const force = minor >= 29 && minor < 68 ? { force: boolean } : {};
  const fields = { host: hostName, adminPass: { type: 'string' }, ...shared, ...force };
  return object({ evacuate: object(fields, Object.keys(shared)) }, ['evacuate']);
});

/** Until 2.24 disks could be promised too often; from 2.25 on it may be left to the cloud whether they are copied. */
export const migrateLiveSchema = byVersion((minor) => {
  const host = { ...hostName, type: ['string', 'null'] };
  const old = minor < 25 ? { disk_over_commit: boolean } : {};
  const block_migration = minor < 25 ? boolean : { anyOf: [boolean, { enum: ['auto'] }] };
  const required = { host, block_migration, ...old };
  const force = minor >= 30 && minor < 68 ? { force: boolean } : {};
  return object({ 'os-migrateLive': object({ ...required, ...force }, Object.keys(required)) }, ['os-migrateLive']);
});
export const shelveSchema = bare('shelve');
export const shelveOffloadSchema = bare('shelveOffload');
/** Until 2.76 whatever stands there says nothing; a host, and no zone in particular, may be wished for from 2.91 on. */
export const unshelveSchema = byVersion((minor) => {
  if (minor < 77) return bare('unshelve');
  const wish =
    minor < 91
      ? object({ availability_zone: name }, ['availability_zone'])
      : object({ availability_zone: { type: ['string', 'null'] }, host: { type: 'string' } });
  return object({ unshelve: { anyOf: [{ type: 'null' }, wish] } }, ['unshelve']);
});
export const forceCompleteSchema = object({ force_complete: { type: 'null' } }, ['force_complete']);
