// What every format's parser offers.
import type { Source } from './source';

export interface Findings {
  /** Bytes of the disk that the file describes; 0 when that can't be known. */
  readonly virtualSize: number;
  /** Why the file can't be trusted, in words; empty when nothing is wrong. */
  readonly problems: readonly string[];
}

export interface FormatParser {
  readonly name: string;
  /** Whether the file begins like this format. */
  matches(source: Source): boolean;
  /** Reads the header of a file that matches. Never opens anything that the header names. */
  inspect(source: Source): Findings;
}

/** Findings of a header that is cut off. */
export function truncated(format: string): Findings {
  return { virtualSize: 0, problems: [`the ${format} header is cut off`] };
}
