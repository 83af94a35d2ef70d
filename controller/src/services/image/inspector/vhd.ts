// Microsoft's VHD: a footer of 512 bytes, which dynamic disks repeat at the beginning. Differencing disks are refused.
import { truncated, type Findings, type FormatParser } from './format';
import { safeNumber, type Source } from './source';

const SECTOR = 512;
const COOKIE = 'conectix';
const FIXED = 2;
const DYNAMIC = 3;
/** The largest geometry; such a disk says its true size elsewhere. */
const MOST_SECTORS = 65535 * 16 * 255;
/** Programs whose disks have the size they say, not the one of their geometry. */
const EXACT_CREATORS = ['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS'];

function isFooter(bytes: Buffer): boolean {
  return bytes.length === SECTOR && bytes.toString('latin1', 0, 8) === COOKIE;
}

function virtualSize(footer: Buffer): number | undefined {
  const exact = safeNumber(footer.readBigUInt64BE(48));
  const sectors = footer.readUInt16BE(56) * footer.readUInt8(58) * footer.readUInt8(59);
  const byGeometry = !EXACT_CREATORS.includes(footer.toString('latin1', 28, 32)) && sectors < MOST_SECTORS;
  return byGeometry ? sectors * SECTOR : exact === undefined ? undefined : Math.floor(exact / SECTOR) * SECTOR;
}

function inspectFooter(source: Source, footer: Buffer): Findings {
  const problems: string[] = [];
  const type = footer.readUInt32BE(60);
  if (type !== FIXED && type !== DYNAMIC) problems.push(`VHD type ${type} is not allowed`);
  if (type === DYNAMIC) {
    const offset = safeNumber(footer.readBigUInt64BE(16));
    const sparse = offset === undefined ? Buffer.alloc(0) : source.read(offset, 1024);
    if (sparse.length < 1024 || sparse.toString('latin1', 0, 8) !== 'cxsparse') {
      problems.push('its dynamic header is missing');
    } else if (
      sparse.subarray(40, 56).some((byte) => byte !== 0) ||
      sparse.subarray(64, 576).some((byte) => byte !== 0)
    ) {
      problems.push('it has a parent');
    }
  }
  const size = virtualSize(footer);
  if (size === undefined) problems.push('its virtual size is beyond all measure');
  return { virtualSize: size ?? 0, problems };
}

/** Dynamic disks: the copy of the footer comes first. */
export const vhd: FormatParser = {
  name: 'vhd',
  matches: (source) => source.read(0, 8).toString('latin1') === COOKIE,
  inspect(source) {
    const footer = source.read(0, SECTOR);
    return isFooter(footer) ? inspectFooter(source, footer) : truncated('vhd');
  },
};

/** Fixed disks: raw bytes with the footer at the end; undefined when there is none. */
export function fixedVhd(source: Source): Findings | undefined {
  if (source.size < 2 * SECTOR) return undefined;
  const footer = source.read(source.size - SECTOR, SECTOR);
  return isFooter(footer) && footer.readUInt32BE(60) === FIXED ? inspectFooter(source, footer) : undefined;
}
