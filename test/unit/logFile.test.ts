// The log of a process whose output is a file: moved on at a size, a few copies kept.
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, type Logger } from '@cumulet/common';
import { keepLogSmall, LOG_BYTES, rotateLog } from '../../common/src/logFile';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-log-'));
  path = join(directory, 'cumulet.log');
});
afterEach(() => rmSync(directory, { recursive: true }));

const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

test('a small one stays; a large one moves on, its writers go on, and the oldest copy goes', () => {
  const out = openSync(path, 'a');
  for (const line of ['one', 'two', 'three', 'four', 'five']) {
    rotateLog(path, 3, 3);
    writeSync(out, `${line}\n`);
  }
  rotateLog(path, 100, 3);
  closeSync(out);
  expect(readdirSync(directory).sort()).toEqual(['cumulet.log', 'cumulet.log.1', 'cumulet.log.2', 'cumulet.log.3']);
  const names = ['cumulet.log', 'cumulet.log.1', 'cumulet.log.2', 'cumulet.log.3'];
  expect(names.map(read)).toEqual(['five\n', 'four\n', 'three\n', 'two\n']);
});

describe('a process looks after', () => {
  const warnings: unknown[][] = [];
  const log = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (...words: unknown[]) => void warnings.push(words),
  });
  beforeEach(() => {
    jest.useFakeTimers();
    warnings.length = 0;
    writeFileSync(path, '');
    truncateSync(path, LOG_BYTES);
  });
  afterEach(() => void jest.useRealTimers());

  const keep = (file: string, environment: NodeJS.ProcessEnv): void => {
    const out = openSync(file, 'a');
    keepLogSmall(environment, log, out, 1000);
  };

  test('the file that its output goes to, at the start and later', () => {
    keep(path, { CUMULET_LOG_FILE: path });
    expect(statSync(path).size).toBe(0);
    truncateSync(path, LOG_BYTES);
    jest.advanceTimersByTime(1000);
    expect(readdirSync(directory).sort()).toEqual(['cumulet.log', 'cumulet.log.1', 'cumulet.log.2']);
  });

  test.each([
    ['a file that it does not write', 'other', 'cumulet.log'],
    ['one that is not there', 'cumulet.log', 'gone.log'],
    ['any when nothing is said', 'cumulet.log', undefined],
  ])('leaves %s alone', (_, writes, named) => {
    keep(join(directory, writes), named === undefined ? {} : { CUMULET_LOG_FILE: join(directory, named) });
    expect(statSync(path).size).toBe(LOG_BYTES);
    expect(warnings).toEqual([]);
  });

  test('and says so when it can not', () => {
    mkdirSync(`${path}.3`);
    mkdirSync(`${path}.4`);
    writeFileSync(`${path}.4/in-the-way`, '');
    keep(path, { CUMULET_LOG_FILE: path });
    expect(warnings).toEqual([[{ path, error: expect.any(String) }, expect.stringContaining('could not be moved on')]]);
    expect(statSync(path).size).toBe(LOG_BYTES);
  });
});
