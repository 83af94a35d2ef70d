// Upload and download of a file against copying it.
import { randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { uploadImage, type RealCloud } from '../support/realCloud';
import { figure, percentile, timed, type Figure } from './figure';

const MIB = 1 << 20;

export async function benchImages(cloud: RealCloud, mebibytes = 256): Promise<Figure[]> {
  const file = join(cloud.directory, 'upload.raw');
  const out = openSync(file, 'w');
  for (let at = 0; at < mebibytes; at++) writeSync(out, randomBytes(MIB));
  closeSync(out);
  const [copies, uploads, downloads]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < 3; round++) {
    copies.push(
      await timed(async () => {
        copyFileSync(file, `${file}.copy`);
        await exec(['sync', `${file}.copy`]);
      }),
    );
    let id = '';
    uploads.push(await timed(async () => (id = await uploadImage(cloud, file, 'raw', 'upload'))));
    downloads.push(
      await timed(async () => {
        const answer = await cloud.request('GET', `/image/v2/images/${id}/file`);
        for await (const _chunk of answer.body as unknown as AsyncIterable<Uint8Array>);
      }),
    );
    await cloud.call('DELETE', `/image/v2/images/${id}`);
  }
  rmSync(file);
  rmSync(`${file}.copy`);
  const speed = (times: readonly number[]): number => (mebibytes * MIB) / 1e6 / (percentile(times, 0.5) / 1000);
  const floor = speed(copies);
  return [
    figure('image upload', speed(uploads), 'MB/s', '>= 400 MB/s', speed(uploads) >= 400, floor),
    figure('image download', speed(downloads), 'MB/s', '>= 1400 MB/s', speed(downloads) >= 1400, floor),
  ];
}
