// npm run bench -- [--out FILE] [--image QCOW2] [--only boot,cli,tokens,lists,images,memory]: measures, prints a table, writes JSON.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '@cumulet/common';
import { benchBoot } from './boot';
import { benchCli } from './cli';
import {
  createServer,
  deleteServer,
  makeContent,
  makeNetwork,
  startRealCloud,
  until,
  type RealCloud,
  type Content,
} from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';
import { figure, table, type Figure } from './figure';
import { benchImages } from './images';
import { benchLists } from './lists';
import { cpuPercent, memoryMb } from './memory';
import { benchTokens } from './tokens';

const PARTS = ['lists', 'tokens', 'cli', 'images', 'memory', 'boot'] as const;
type Part = (typeof PARTS)[number];

/** Idle, then with 20 servers on 10 networks; the guests are powered on but have booted. */
async function benchMemory(cloud: RealCloud, content: Content): Promise<Figure[]> {
  await new Promise((next) => setTimeout(next, 5000));
  const idle = memoryMb(cloud);
  const networks = await Promise.all(
    Array.from({ length: 10 }, (_, at) => makeNetwork(cloud, `memory-${at}`, `10.78.${at}.0/24`)),
  );
  const servers: string[] = [];
  for (let at = 0; at < 20; at++) {
    const id = await createServer(cloud, { ...content, network: networks[at % 10] ?? '' }, `memory-${at}`);
    servers.push(id);
    await until(cloud, id, 'ACTIVE', 50);
  }
  // Emulated guests boot for minutes when 20 share two cores; ours must be measured after they came to rest.
  await new Promise((next) => setTimeout(next, 120_000));
  const busy = memoryMb(cloud);
  const cpu = await cpuPercent(cloud, 60);
  for (const id of servers) await deleteServer(cloud, id);
  return [
    figure('memory idle (PSS, all processes)', idle, 'MB', '<= 150 MB', idle <= 150),
    figure('memory with 20 servers on 10 networks', busy, 'MB', '<= 200 MB', busy <= 200),
    figure('CPU with 20 idle servers, 60 s', cpu, '% of a core', '<= 1 %', cpu <= 1),
  ];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, image: { type: 'string' }, only: { type: 'string' } },
  });
  const parts = (values.only?.split(',') ?? PARTS) as readonly Part[];
  const unknown = parts.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) throw new Error(`unknown part ${unknown.join()}; there are ${PARTS.join(', ')}`);
  const figures: Figure[] = [];
  console.log(`load before: ${loadavg()[0]?.toFixed(2)}`);
  if (parts.includes('lists')) figures.push(...(await benchLists()));
  if (parts.some((part) => part !== 'lists')) {
    const image = values.image ?? tinyImage();
    const cloud = await startRealCloud();
    try {
      if (parts.includes('tokens')) figures.push(...(await benchTokens(cloud)));
      if (parts.includes('cli')) figures.push(...(await benchCli(cloud)));
      if (parts.includes('images')) figures.push(...(await benchImages(cloud)));
      const content = await makeContent(cloud, image);
      if (parts.includes('memory')) figures.push(...(await benchMemory(cloud, content)));
      if (parts.includes('boot')) figures.push(...(await benchBoot(cloud, content)));
    } finally {
      await cloud.stop();
    }
  }
  console.log(table(figures));
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(figures, null, 2)}\n`);
  // A missed target is a result, not a failure of the measurement.
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(messageOf(error).slice(0, 2000));
    process.exit(1);
  },
);
