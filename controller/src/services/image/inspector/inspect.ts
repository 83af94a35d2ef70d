// Says what a file is by its bytes alone. Pure: reads only the source it is given.
import { isIso, partitionTable } from './contents';
import { fixedVhd, vhd } from './vhd';
import type { FormatParser } from './format';
import { qcow2 } from './qcow2';
import type { Source } from './source';
import { unsupportedFormats } from './unsupported';
import { vdi } from './vdi';
import { vhdx } from './vhdx';
import { vmdk } from './vmdk';

export interface Inspection {
  /** The structured format, or "raw". */
  readonly format: string;
  /** What raw bytes hold besides: "iso", "vhd" (a fixed disk), "gpt", "mbr". */
  readonly contents: readonly string[];
  /** Bytes of the disk. */
  readonly virtualSize: number;
  /** Why it is refused, in words; empty when nothing is wrong. */
  readonly problems: readonly string[];
}

const PARSERS: readonly FormatParser[] = [qcow2, vmdk, vdi, vhd, vhdx, ...unsupportedFormats];

function rawContents(source: Source): string[] {
  const table = partitionTable(source);
  return [...(isIso(source) ? ['iso'] : []), ...(fixedVhd(source) ? ['vhd'] : []), ...(table ? [table] : [])];
}

/** Reads the header of a file. Never throws for any content. */
export function inspect(source: Source): Inspection {
  const found = PARSERS.filter((parser) => parser.matches(source));
  const [parser] = found;
  if (!parser) {
    return { format: 'raw', contents: rawContents(source), virtualSize: source.size, problems: [] };
  }
  const { virtualSize, problems } = parser.inspect(source);
  const names = [...found.map((one) => one.name), ...(isIso(source) ? ['iso'] : [])];
  const ambiguous = names.length > 1 ? [`it can be taken for ${names.join(' and for ')}`] : [];
  return { format: parser.name, contents: [], virtualSize, problems: [...ambiguous, ...problems] };
}
