// npm run bench -- [--out FILE] [--image QCOW2] [--only PART,...]: measures, prints a table, writes JSON.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '@cumulet/common';
import { benchBoot } from './boot';
import { benchCli } from './cli';
import { makeContent, startRealCloud } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';
import { table, type Figure } from './figure';
import { benchFleet } from './fleet';
import { benchImages } from './images';
import { benchLists } from './lists';
import { benchLiveness } from './liveness';
import { benchMemory } from './memory';
import { benchNetwork } from './network';
import { benchTokens } from './tokens';

const PARTS = ['lists', 'fleet', 'memory', 'boot', 'tokens', 'cli', 'network', 'images'] as const;
/** Takes eleven minutes and all processors, so only when it is asked for. */
const ASKED_FOR = ['liveness'] as const;
type Part = (typeof PARTS)[number] | (typeof ASKED_FOR)[number];

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, image: { type: 'string' }, only: { type: 'string' } },
  });
  const parts = (values.only?.split(',') ?? PARTS) as readonly Part[];
  const known: readonly Part[] = [...PARTS, ...ASKED_FOR];
  const unknown = parts.filter((part) => !known.includes(part));
  if (unknown.length > 0) throw new Error(`unknown part ${unknown.join()}; there are ${known.join(', ')}`);
  const figures: Figure[] = [];
  const run = async (part: Part, measure: () => Promise<Figure[]>): Promise<void> => {
    if (!parts.includes(part)) return;
    const started = Date.now();
    figures.push(...(await measure()));
    console.log(`${part}: ${Math.round((Date.now() - started) / 1000)} s`);
  };
  console.log(`load before: ${loadavg()[0]?.toFixed(2)}`);
  await run('lists', benchLists);
  await run('fleet', benchFleet);
  await run('liveness', benchLiveness);
  const apart: readonly Part[] = ['lists', 'fleet', 'liveness'];
  if (parts.some((part) => !apart.includes(part))) {
    const cloud = await startRealCloud();
    try {
      const content = await makeContent(cloud, values.image ?? tinyImage());
      // First, while the cloud is fresh.
      await run('memory', () => benchMemory(cloud, content));
      await run('boot', () => benchBoot(cloud, content));
      await run('tokens', () => benchTokens(cloud));
      await run('cli', () => benchCli(cloud));
      await run('network', () => benchNetwork(cloud));
      await run('images', () => benchImages(cloud));
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
