// The bytes of images on their way: how far they are, and into the image service.
import { createReadStream } from 'node:fs';
import { Transform } from 'node:stream';
import type { Context } from './command';

/** Lets bytes through and tells how far they are.
 * @param total - bytes in all; 0 where nobody says it
 * @param begin - bytes that are there already */
export function metered(total: number, tell: (text: string) => void, what: string, begin = 0): Transform {
  let passed = begin;
  let shown = -1;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      passed += chunk.length;
      const percent = total > 0 ? Math.floor((passed / total) * 100) : 0;
      if (percent !== shown) tell(`${what}: ${percent} % of ${(total / 1e6).toFixed(1)} MB`);
      shown = percent;
      done(null, chunk);
    },
  });
}

/** Sends the file of an image. @throws CliError with the reason when it is not taken */
export async function upload(
  { api, progress }: Pick<Context, 'api' | 'progress'>,
  id: string,
  file: string,
  size: number,
  signal?: AbortSignal,
): Promise<void> {
  const source = createReadStream(file, signal ? { signal } : {});
  const meter = metered(size, progress, `sending ${file}`);
  source.on('error', (error) => meter.destroy(error));
  try {
    await api.json('image', 'PUT', `/images/${id}/file`, undefined, {
      stream: source.pipe(meter),
      headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': String(size) },
    });
  } finally {
    source.destroy();
    progress('');
  }
}
