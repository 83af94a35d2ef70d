// The structures that libvirt's procedures share: references to objects (by value, there are no handles) and typed parameters.
import { arrayOf, double, i32, i64, optional, string, struct, u32, u64, union, uuid } from './codec';
import type { Codec, CodecType } from './codec';

/** Limits of remote_protocol.x for counted arrays. */
export const LIST_LIMIT = 16_384;
const PARAMETER_LIMIT = 262_144;

/** A domain: daemons look it up by uuid; id is -1 when it is not running. */
export const dom = struct({ name: string, uuid, id: i32 });
export type DomainReference = CodecType<typeof dom>;

const named = struct({ name: string, uuid });
export const net = named;
export const pool = named;
export const nwfilter = named;
export type PoolReference = CodecType<typeof pool>;
export type NetworkReference = CodecType<typeof net>;

/** A volume: daemons look it up by pool and name. */
export const vol = struct({ pool: string, name: string, key: string });
export type VolumeReference = CodecType<typeof vol>;

export const secret = struct({ uuid, usageType: i32, usageID: string });
export type SecretReference = CodecType<typeof secret>;

export const snap = struct({ name: string, dom });
export type SnapshotReference = CodecType<typeof snap>;

/** A C `int` that means yes or no. */
const boolean: Codec<boolean> = { write: (w, v) => w.i32(v ? 1 : 0), read: (r) => r.i32() !== 0 };

/** A named value whose type travels with it (virTypedParameter). */
const typedParameter = struct({
  field: string,
  value: union({
    int: { tag: 1, codec: i32 },
    uint: { tag: 2, codec: u32 },
    llong: { tag: 3, codec: i64 },
    ullong: { tag: 4, codec: u64 },
    double: { tag: 5, codec: double },
    boolean: { tag: 6, codec: boolean },
    string: { tag: 7, codec: string },
  }),
});
export type TypedParameter = CodecType<typeof typedParameter>;

/** A named text, or nothing. */
export const textParameter = (field: string, value: string | undefined): TypedParameter[] =>
  value === undefined ? [] : [{ field, value: { type: 'string', value } }];

export const typedParameters = arrayOf(typedParameter, PARAMETER_LIMIT);

/** One interface of a guest with its addresses. */
export const domainInterface = struct({
  name: string,
  hwaddr: optional(string),
  addrs: arrayOf(struct({ type: i32, addr: string, prefix: u32 }), 2048),
});

export const statsRecord = struct({ dom, params: typedParameters });
export const nodeStat = struct({ field: string, value: u64 });
export const memoryStat = struct({ tag: i32, val: u64 });
export const vcpuInfo = struct({ number: u32, state: i32, cpuTime: u64, cpu: i32 });
export const filesystemInfo = struct({
  mountpoint: string,
  name: string,
  fstype: string,
  devAliases: arrayOf(string, 256),
});

/** Typed parameters as a plain object. 64-bit integers become numbers: above 2^53 they are rounded. */
export type Parameters = Record<string, number | boolean | string>;

/** The values of typed parameters by name. */
export function parametersOf(list: readonly TypedParameter[]): Parameters {
  return Object.fromEntries(
    list.map(({ field, value }) => [field, typeof value.value === 'bigint' ? Number(value.value) : value.value]),
  );
}
