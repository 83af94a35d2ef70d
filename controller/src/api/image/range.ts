// Reads which bytes of an image a request wants.
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, InvalidError } from '../../errors';

/** First and last byte, both inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

function unsatisfiable(message: string, size: number): ApiError {
  return new ApiError(416, 'RangeNotSatisfiable', message, { content_range: `bytes */${size}` });
}

function fromRange(text: string, size: number): ByteRange {
  if (text.includes(',')) {
    throw new InvalidError('Requests with multiple ranges are not supported. Send one request per range instead.');
  }
  const [, first, last] = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(text) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) {
    throw unsatisfiable('Invalid Range header.', size);
  }
  if (first === '') {
    const length = Math.min(Number(last), size);
    if (length === 0) throw unsatisfiable('Invalid Range header.', size);
    return { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) throw unsatisfiable('Invalid Range header.', size);
  if (start >= size) {
    throw unsatisfiable(
      `Invalid start position in Range header. Start position MUST be in the inclusive range [0, ${size - 1}].`,
      size,
    );
  }
  return { start, end };
}

/** Old clients name the range in Content-Range: "bytes 0-99/*". */
function fromContentRange(text: string, size: number): ByteRange {
  const [, first, last, whole] = /^\s*bytes\s+(\d+)-(\d+)\/(\*|\d+)\s*$/i.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) {
    throw unsatisfiable('Invalid Content-Range header.', size);
  }
  if (Number(first) >= size || Number(last) >= size || (whole !== '*' && Number(whole) !== size)) {
    throw unsatisfiable(
      `Invalid position in Content-Range header. It MUST be in the inclusive range [0, ${size - 1}].`,
      size,
    );
  }
  return { start: Number(first), end: Number(last) };
}

/** The range of a request, or undefined for the whole image. @throws ApiError 416, InvalidError (several ranges) */
export function requestedRange(headers: IncomingHttpHeaders, size: number): ByteRange | undefined {
  if (headers.range !== undefined) return fromRange(headers.range, size);
  const old = headers['content-range'];
  return old === undefined ? undefined : fromContentRange(old, size);
}
