// Upload and download of a file against copying it: with the disk waited for, as an upload does, and without.
import { randomBytes } from 'node:crypto';
import { closeSync, createReadStream, copyFileSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import type { RealCloud } from '../support/realCloud';
import { figure, percentile, timed, type Figure } from './figure';

const MIB = 1 << 20;
const ROUNDS = 5;

/** A request without the cost of fetch: the client works on the same cores. @throws Error for another status */
function transfer(cloud: RealCloud, method: 'PUT' | 'GET', path: string, status: number, file?: string): Promise<void> {
  return new Promise((done, fail) => {
    const body = { 'content-type': 'application/octet-stream' };
    const headers = {
      'x-auth-token': cloud.token,
      ...(file === undefined ? {} : { ...body, 'content-length': String(statSync(file).size) }),
    };
    const sending = request(cloud.url + path, { method, headers }, (answer) => {
      if (answer.statusCode !== status) fail(new Error(`${method} ${path}: ${answer.statusCode}`));
      answer.on('error', fail);
      answer.on('end', done);
      answer.resume();
    });
    sending.on('error', fail);
    if (file === undefined) sending.end();
    else createReadStream(file, { highWaterMark: MIB }).on('error', fail).pipe(sending);
  });
}

export async function benchImages(cloud: RealCloud, mebibytes = 256): Promise<Figure[]> {
  const file = join(cloud.directory, 'upload.raw');
  const out = openSync(file, 'w');
  for (let at = 0; at < mebibytes; at++) writeSync(out, randomBytes(MIB));
  closeSync(out);
  await exec(['sync', file]);
  const copies: number[] = [];
  const durable: number[] = [];
  const uploads: number[] = [];
  const downloads: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const copied = await timed(() => Promise.resolve(copyFileSync(file, `${file}.copy`)));
    copies.push(copied);
    durable.push(copied + (await timed(() => exec(['sync', `${file}.copy`]))));
    rmSync(`${file}.copy`);
    const { id } = await cloud.call<{ id: string }>('POST', '/image/v2/images', {
      name: 'bench',
      disk_format: 'raw',
      container_format: 'bare',
    });
    const path = `/image/v2/images/${id}/file`;
    uploads.push(await timed(() => transfer(cloud, 'PUT', path, 204, file)));
    downloads.push(await timed(() => transfer(cloud, 'GET', path, 200)));
    await cloud.call('DELETE', `/image/v2/images/${id}`);
  }
  rmSync(file);
  const speed = (times: readonly number[]): number => (mebibytes * MIB) / 1e6 / (percentile(times, 0.5) / 1000);
  const [up, down] = [speed(uploads), speed(downloads)];
  return [
    figure('image upload, against copy and sync', up, 'MB/s', '>= 400 MB/s', up >= 400, speed(durable)),
    figure('image download, against copy', down, 'MB/s', '>= 1400 MB/s', down >= 1400, speed(copies)),
  ];
}
