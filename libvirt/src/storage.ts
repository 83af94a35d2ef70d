// Storage pools and volumes, with upload and download as streams. In a modular installation virtstoraged serves them.
import { ErrorCode, hasCode, orAbsent } from './errors';
import { procedures } from './procedures';
import type { Procedure } from './procedures';
import type { Session } from './session';
import { VirStream } from './stream';
import type { PoolReference, VolumeReference } from './types';

const poolStates = ['inactive', 'building', 'running', 'degraded', 'inaccessible'] as const;
const volumeTypes = ['file', 'block', 'dir', 'network', 'netdir', 'ploop'] as const;

/** A part of a volume in bytes; length 0 is to the end. */
export interface VolumeRange {
  offset?: number;
  length?: number;
}

export function storageOperations(session: Session) {
  const call = <A, R>(procedure: Procedure<A, R>, args: A, timeoutMs?: number): Promise<R> =>
    session.call(procedure, args, { service: 'storage', ...(timeoutMs !== undefined && { timeoutMs }) });

  const transfer = async (
    procedure: Procedure<{ vol: VolumeReference; offset: bigint; length: bigint; flags: number }, unknown>,
    direction: 'read' | 'write',
    vol: VolumeReference,
    { offset = 0, length = 0 }: VolumeRange,
  ): Promise<VirStream> => {
    const connection = await session.openForStream('storage');
    const args = { vol, offset: BigInt(offset), length: BigInt(length), flags: 0 };
    return (await VirStream.open(connection, procedure, args, direction)).stream;
  };

  const volumeInfo = async (vol: VolumeReference) => {
    const { type, capacity, allocation } = await call(procedures.storageVolGetInfo, { vol });
    return { type: volumeTypes[type] ?? 'file', capacity: Number(capacity), allocation: Number(allocation) };
  };

  return {
    async pools(flags = 0): Promise<PoolReference[]> {
      return (await call(procedures.connectListAllStoragePools, { needResults: 1, flags })).pools;
    },

    /** The pool, or undefined. */
    async lookupPool(name: string): Promise<PoolReference | undefined> {
      return (await orAbsent(call(procedures.storagePoolLookupByName, { name })))?.pool;
    },

    /** Defines a pool that survives the daemon's restart; {@link startPool} makes it usable. */
    async definePool(xml: string): Promise<PoolReference> {
      return (await call(procedures.storagePoolDefineXml, { xml, flags: 0 })).pool;
    },

    /** Creates a running pool without a definition. */
    async createPool(xml: string): Promise<PoolReference> {
      return (await call(procedures.storagePoolCreateXml, { xml, flags: 0 })).pool;
    },

    /** Makes what the pool stands on: the directory, the volume group. */
    async buildPool(pool: PoolReference, flags = 0): Promise<void> {
      await call(procedures.storagePoolBuild, { pool, flags });
    },

    async startPool(pool: PoolReference): Promise<void> {
      await call(procedures.storagePoolCreate, { pool, flags: 0 });
    },

    async setPoolAutostart(pool: PoolReference, autostart: boolean): Promise<void> {
      await call(procedures.storagePoolSetAutostart, { pool, autostart: autostart ? 1 : 0 });
    },

    /** Makes the daemon look again at what is in the pool. */
    async refreshPool(pool: PoolReference): Promise<void> {
      await call(procedures.storagePoolRefresh, { pool, flags: 0 });
    },

    /** State, and sizes in bytes. */
    async poolInfo(pool: PoolReference) {
      const { state, capacity, allocation, available } = await call(procedures.storagePoolGetInfo, { pool });
      return {
        state: poolStates[state] ?? 'inactive',
        capacity: Number(capacity),
        allocation: Number(allocation),
        available: Number(available),
      };
    },

    async poolXml(pool: PoolReference, flags = 0): Promise<string> {
      return (await call(procedures.storagePoolGetXmlDesc, { pool, flags })).xml;
    },

    /** Stops a pool; data stays. A pool that is stopped or gone is fine. */
    async destroyPool(pool: PoolReference): Promise<void> {
      try {
        await call(procedures.storagePoolDestroy, { pool });
      } catch (error) {
        if (!hasCode(error, ErrorCode.NO_STORAGE_POOL, ErrorCode.OPERATION_INVALID)) throw error;
      }
    },

    /** Removes a pool's definition; data stays. One that is gone is fine. */
    async undefinePool(pool: PoolReference): Promise<void> {
      try {
        await call(procedures.storagePoolUndefine, { pool });
      } catch (error) {
        if (!hasCode(error, ErrorCode.NO_STORAGE_POOL)) throw error;
      }
    },

    async volumes(pool: PoolReference): Promise<VolumeReference[]> {
      return (await call(procedures.storagePoolListAllVolumes, { pool, needResults: 1, flags: 0 })).vols;
    },

    /** The volume, or undefined. */
    async lookupVolume(pool: PoolReference, name: string): Promise<VolumeReference | undefined> {
      return (await orAbsent(call(procedures.storageVolLookupByName, { pool, name })))?.vol;
    },

    /** The volume at a path of any running pool, or undefined. */
    async lookupVolumeByPath(path: string): Promise<VolumeReference | undefined> {
      return (await orAbsent(call(procedures.storageVolLookupByPath, { path })))?.vol;
    },

    async createVolume(pool: PoolReference, xml: string): Promise<VolumeReference> {
      return (await call(procedures.storageVolCreateXml, { pool, xml, flags: 0 }, Infinity)).vol;
    },

    /**
     * {@link createVolume} that may run twice: a volume of that name and capacity (bytes) that exists is the answer.
     * @throws LibvirtError STORAGE_VOL_EXIST when the one that exists has another size
     */
    async ensureVolume(pool: PoolReference, name: string, capacity: number, xml: string): Promise<VolumeReference> {
      try {
        return (await call(procedures.storageVolCreateXml, { pool, xml, flags: 0 }, Infinity)).vol;
      } catch (error) {
        if (!hasCode(error, ErrorCode.STORAGE_VOL_EXIST)) throw error;
        const { vol } = await call(procedures.storageVolLookupByName, { pool, name });
        if ((await volumeInfo(vol)).capacity !== capacity) throw error;
        return vol;
      }
    },

    /** Creates a volume with the data of another. */
    async cloneVolume(pool: PoolReference, xml: string, from: VolumeReference): Promise<VolumeReference> {
      return (await call(procedures.storageVolCreateXmlFrom, { pool, xml, clonevol: from, flags: 0 }, Infinity)).vol;
    },

    /** Kind, and sizes in bytes. */
    volumeInfo,

    async volumePath(vol: VolumeReference): Promise<string> {
      return (await call(procedures.storageVolGetPath, { vol })).name;
    },

    async volumeXml(vol: VolumeReference): Promise<string> {
      return (await call(procedures.storageVolGetXmlDesc, { vol, flags: 0 })).xml;
    },

    /** Grows a volume to so many bytes. */
    async resizeVolume(vol: VolumeReference, capacity: number, flags = 0): Promise<void> {
      await call(procedures.storageVolResize, { vol, capacity: BigInt(capacity), flags }, Infinity);
    },

    /** Deletes a volume with its data; one that is gone is fine. */
    async deleteVolume(vol: VolumeReference): Promise<void> {
      try {
        await call(procedures.storageVolDelete, { vol, flags: 0 }, Infinity);
      } catch (error) {
        if (!hasCode(error, ErrorCode.NO_STORAGE_VOL)) throw error;
      }
    },

    /** Overwrites a volume's data with zeros. */
    async wipeVolume(vol: VolumeReference): Promise<void> {
      await call(procedures.storageVolWipe, { vol, flags: 0 }, Infinity);
    },

    /** A Writable into the volume; `finish` comes when the daemon has stored everything. */
    uploadVolume(vol: VolumeReference, range: VolumeRange = {}): Promise<VirStream> {
      return transfer(procedures.storageVolUpload, 'write', vol, range);
    },

    /** A Readable of the volume's bytes. */
    downloadVolume(vol: VolumeReference, range: VolumeRange = {}): Promise<VirStream> {
      return transfer(procedures.storageVolDownload, 'read', vol, range);
    },
  };
}
