// VirtualBox's VDI header: dynamic and fixed images without a parent.
import { truncated, type FormatParser } from './format';
import { safeNumber } from './source';

const SIGNATURE = 0xbeda107f;
const VERSION = 0x0001_0001;
const DYNAMIC = 1;
const FIXED = 2;

export const vdi: FormatParser = {
  name: 'vdi',
  matches: (source) => {
    const head = source.read(64, 4);
    return head.length === 4 && head.readUInt32LE(0) === SIGNATURE;
  },
  inspect(source) {
    const header = source.read(0, 456);
    if (header.length < 456) return truncated('vdi');
    const problems: string[] = [];
    const version = header.readUInt32LE(68);
    const type = header.readUInt32LE(76);
    if (version !== VERSION) problems.push(`VDI version 0x${version.toString(16)} is not known`);
    if (type !== DYNAMIC && type !== FIXED) problems.push(`VDI type ${type} is not allowed`);
    // The ids of what it continues and of its parent.
    if (header.subarray(424, 456).some((byte) => byte !== 0)) problems.push('it has a parent');
    const virtualSize = safeNumber(header.readBigUInt64LE(368));
    if (virtualSize === undefined) problems.push('its virtual size is beyond all measure');
    return { virtualSize: virtualSize ?? 0, problems };
  },
};
