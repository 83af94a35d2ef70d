// The QCOW2 header (QEMU's docs/interop/qcow2.txt): only self-contained, unencrypted images with known features pass.
import { truncated, type Findings, type FormatParser } from './format';
import { safeNumber, type Source } from './source';

const MAGIC = 0x514649fb;
const EXTENSION = { end: 0, backingFormat: 0xe2792aca, dataFile: 0x44415441, encryption: 0x0537be77 };
/** Dirty, compression type and extended L2 entries: all inside the file. */
const ALLOWED_INCOMPATIBLE = 0b1_1001n;
const REFUSED = { corrupt: 1n << 1n, dataFile: 1n << 2n };
/** Autoclear bit 1: the external data file is raw. */
const RAW_DATA_FILE = 1n << 1n;
const MOST_EXTENSIONS = 64;
/** QEMU's own limit of the L1 table. */
const LARGEST_L1 = 32 * 1024 * 1024;

function featureProblems(header: Buffer): string[] {
  const incompatible = header.readBigUInt64BE(72);
  const autoclear = header.readBigUInt64BE(88);
  const problems: string[] = [];
  if (incompatible & REFUSED.corrupt) problems.push('it is marked corrupt');
  if (incompatible & REFUSED.dataFile || autoclear & RAW_DATA_FILE) problems.push('it has an external data file');
  const known = ALLOWED_INCOMPATIBLE | REFUSED.corrupt | REFUSED.dataFile;
  if (incompatible & ~known) {
    problems.push(`it has unknown incompatible features (0x${(incompatible & ~known).toString(16)})`);
  }
  return problems;
}

function extensionProblems(source: Source, start: number, end: number): string[] {
  const problems: string[] = [];
  let at = start;
  for (let count = 0; at + 8 <= end; count++) {
    const head = source.read(at, 8);
    if (head.length < 8) return problems;
    const type = head.readUInt32BE(0);
    const length = head.readUInt32BE(4);
    if (type === EXTENSION.end) return problems;
    if (count >= MOST_EXTENSIONS) return [...problems, 'it has too many header extensions'];
    if (length > end - at - 8) return [...problems, 'a header extension is longer than the header'];
    if (type === EXTENSION.dataFile) problems.push('it names an external data file');
    if (type === EXTENSION.backingFormat) problems.push('it names the format of a backing file');
    if (type === EXTENSION.encryption) problems.push('it is encrypted');
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return problems;
}

function inspectQcow2(source: Source): Findings {
  const header = source.read(0, 112);
  if (header.length < 72) return truncated('qcow2');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) return { virtualSize: 0, problems: [`qcow2 version ${version} is not known`] };
  if (version === 3 && header.length < 104) return truncated('qcow2');
  const problems: string[] = [];
  const clusterBits = header.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) {
    return { virtualSize: 0, problems: [`its clusters have 2^${clusterBits} bytes, which is not possible`] };
  }
  if (header.readBigUInt64BE(8) !== 0n || header.readUInt32BE(16) !== 0) problems.push('it has a backing file');
  if (header.readUInt32BE(32) !== 0) problems.push('it is encrypted');
  if (header.readUInt32BE(36) * 8 > LARGEST_L1) problems.push('its L1 table is too large');
  const headerLength = version === 3 ? header.readUInt32BE(100) : 72;
  if (version === 3) problems.push(...featureProblems(header));
  const cluster = 2 ** clusterBits;
  if (headerLength < 72 || (version === 3 && headerLength < 104) || headerLength > cluster) {
    problems.push(`its header claims ${headerLength} bytes`);
  } else {
    problems.push(...extensionProblems(source, headerLength, cluster));
  }
  const virtualSize = safeNumber(header.readBigUInt64BE(24));
  if (virtualSize === undefined) problems.push('its virtual size is beyond all measure');
  return { virtualSize: virtualSize ?? 0, problems: [...new Set(problems)] };
}

export const qcow2: FormatParser = {
  name: 'qcow2',
  matches: (source) => {
    const head = source.read(0, 8);
    return head.length === 8 && head.readUInt32BE(0) === MAGIC && head.readUInt32BE(4) !== 1;
  },
  inspect: inspectQcow2,
};
