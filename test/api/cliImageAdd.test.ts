// cumulet image add: from a web server on loopback that has the files of stock images where --mirror looks for them.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SOURCES } from '../../cli/src/stock/sources';
import { childCoverage } from '../support/childCoverage';
import { root } from '../support/checkout';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { makeDisk, startStockServer, sumOf, type StockServer } from '../support/stockServer';

const cacheBefore = process.env['XDG_CACHE_HOME'];
let directory: string;
let all: CommandCloud;
let web: StockServer;
let disk: Buffer;
const cached = (): string[] => {
  const place = join(directory, 'cache/cumulet/images');
  return existsSync(place) ? readdirSync(place) : [];
};
const pathOf = (name: string, what: 'url' | 'checksums' = 'url'): string =>
  `/${(SOURCES.get(name)?.[what] ?? '').replace('https://', '')}`;
const fileOf = (name: string): string => pathOf(name).split('/').at(-1) ?? '';
/** Puts an image on the server, with a list of checksums beside it. */
const publish = (name: string, list: string, bytes: Buffer | RequestListener = disk): void => {
  web.files.set(pathOf(name), bytes);
  web.files.set(pathOf(name, 'checksums'), Buffer.from(list));
};
const names = async (): Promise<string[]> =>
  (await all.ok('image list -f value -c Name')).split('\n').filter((name) => name !== 'tiny');

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-stock-'));
  process.env['XDG_CACHE_HOME'] = join(directory, 'cache');
  disk = makeDisk(directory);
  [all, web] = await Promise.all([startCommandCloud(), startStockServer()]);
});
afterEach(async () => {
  for (const name of await names()) await all.ok(`image delete ${name}`);
  web.files.clear();
  web.asked.length = 0;
});
afterAll(async () => {
  web.stop();
  await all.stop();
  if (cacheBefore === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = cacheBefore;
  rmSync(directory, { recursive: true });
});

describe('a stock image', () => {
  test.each([
    [
      'debian-12',
      'sha512',
      (sum: string) => `${sumOf('sha256', Buffer.alloc(1))}  other.qcow2\n${sum}  ${fileOf('debian-12')}\n`,
    ],
    ['ubuntu-24.04', 'sha256', (sum: string) => `${sum} *${fileOf('ubuntu-24.04')}\n`],
    ['rocky-9', 'sha256', (sum: string) => `# ${fileOf('rocky-9')}: 1 bytes\nSHA256 (${fileOf('rocky-9')}) = ${sum}\n`],
    [
      'fedora-43',
      'sha256',
      (sum: string) =>
        `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256 (${fileOf('fedora-43')}) = ${sum}\n-----BEGIN PGP SIGNATURE-----\n\nabc=\n`,
    ],
  ] as const)('%s has its properties, and the bytes that its maker published', async (name, algorithm, list) => {
    publish(name, list(sumOf(algorithm, disk)));
    const shown = await all.json(`image add --public --property team=red --mirror ${web.url}/ ${name}`);
    const [os_distro, os_version] = name.split('-');
    expect(shown).toMatchObject({
      ...{ name, status: 'active', visibility: 'public', disk_format: 'qcow2', container_format: 'bare', min_disk: 3 },
      ...{ os_distro, os_version, os_admin_user: os_distro, architecture: 'x86_64', team: 'red' },
      ...{ size: disk.length, virtual_size: 3 * 1024 ** 3, os_hash_value: sumOf('sha512', disk) },
      image_source: `https:/${pathOf(name)}`,
      verified: `${algorithm} of ${web.url}${pathOf(name, 'checksums')}`,
    });
    expect(cached()).toEqual([]);
  });

  test('does not fit a flavor with less disk, which is told with both sizes', async () => {
    publish('debian-12', `${sumOf('sha512', disk)}  ${fileOf('debian-12')}\n`);
    await all.ok(`image add --mirror ${web.url} debian-12`);
    const create = 'server create --image debian-12 --flavor m1.tiny --network demo';
    expect(await all.fails(1, `${create} small`)).toMatch(/Flavor disk is 1073741824 bytes, image is 3221225472 bytes/);
  });

  test('with another checksum is refused and removed', async () => {
    publish('debian-12', `${sumOf('sha512', Buffer.from('x'))}  ${fileOf('debian-12')}\n`);
    expect(await all.fails(1, `image add --mirror ${web.url} debian-12`)).toMatch(
      /debian-12\S+ does not have the SHA512 checksum \w{128}, but \w{128}: it was removed, and no image was made$/,
    );
    expect([cached(), await names()]).toEqual([[], []]);
  });

  test.each([
    [
      'no checksum',
      'what is this?',
      /SHA512SUMS has no SHA-256 or SHA-512 checksum of debian-12-\S+: nothing was taken/,
    ],
    ['an MD5 sum', `${'a'.repeat(32)}  ${fileOf('debian-12')}`, /has no SHA-256 or SHA-512 checksum of/],
    [
      'two checksums',
      ['a', 'b'].map((digit) => `${digit.repeat(128)}  ./${fileOf('debian-12')}`).join('\n'),
      /has different checksums of debian-12/,
    ],
    ['a list without end', 'x'.repeat(1_200_000), /is no list of checksums: it is larger than 1 MiB/],
  ])('with %s in the list is not downloaded', async (_what, list, told) => {
    publish('debian-12', list);
    expect(await all.fails(1, `image add --mirror ${web.url} debian-12`)).toMatch(told);
    expect(web.asked).toEqual([pathOf('debian-12', 'checksums')]);
  });

  test('is not downloaded when its list breaks off', async () => {
    web.files.set(pathOf('debian-12', 'checksums'), (_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    });
    expect(await all.fails(1, `image add --mirror ${web.url} debian-12`)).toMatch(/SHA512SUMS: the transfer broke off/);
  });

  test('of an unknown name is answered with those that are meant and known', async () => {
    const told = await all.fails(2, 'image add debain-12');
    expect(told).toMatch(/^"debain-12" is no stock image, URL or file: did you mean "debian-12"/);
    for (const name of SOURCES.keys()) expect(told).toContain(name);
    expect(await all.fails(2, 'image add zzz')).toContain(
      '"zzz" is no stock image, URL or file. Stock images are debian-12,',
    );
    expect(await all.fails(2, 'image add --mirror http://a.example http://b.example/c')).toContain(
      '--mirror is for stock',
    );
    expect(await all.fails(2, 'image add --mirror lab debian-12')).toContain('--mirror takes a URL, not "lab"');
  });
});

describe('what is official', () => {
  test('is reached by https only, and has its checksums beside it', () => {
    for (const { url, checksums, os_admin_user } of SOURCES.values()) {
      expect(new URL(url).protocol).toBe('https:');
      expect(checksums.slice(0, checksums.lastIndexOf('/'))).toBe(url.slice(0, url.lastIndexOf('/')));
      expect(os_admin_user).toMatch(/^[a-z-]+$/);
    }
  });
});

describe('a name', () => {
  test('that is taken is told before anything is downloaded', async () => {
    publish('debian-12', `${sumOf('sha512', disk)}  ${fileOf('debian-12')}\n`);
    await all.ok(`image add --mirror ${web.url} debian-12`);
    web.asked.length = 0;
    expect(await all.fails(1, `image add --mirror ${web.url} debian-12`)).toMatch(
      /^an image is called debian-12 already \([0-9a-f-]+\): give --name, or delete it with "cumulet image delete debian-12"$/,
    );
    expect(web.asked).toEqual([]);
    await all.ok(`image add --mirror ${web.url} --name debian-12-old debian-12`);
    expect((await names()).sort()).toEqual(['debian-12', 'debian-12-old']);
  });

  test('of the rest of an interrupted run is free again', async () => {
    publish('debian-12', `${sumOf('sha512', disk)}  ${fileOf('debian-12')}\n`);
    await all.ok(`image create --disk-format qcow2 --property image_source=https:/${pathOf('debian-12')} debian-12`);
    await all.ok(`image add --mirror ${web.url} debian-12`);
    expect(await names()).toEqual(['debian-12']);
  });
});

describe('a URL', () => {
  const at = (file = 'lab.qcow2'): string => `${web.url}/${file}`;
  const sum = (): string => sumOf('sha256', disk);

  test('by http needs a checksum, as it is or in a list', async () => {
    web.files.set('/lab.qcow2', disk);
    expect(await all.fails(2, `image add ${at()}`)).toContain(
      'not protected on its way: say what it must be with --checksum',
    );
    expect(await all.fails(2, `image add --checksum abc ${at()}`)).toContain(
      '--checksum takes a SHA-256 or SHA-512 sum',
    );
    expect(await all.fails(2, `image add --checksum ${sum()} ${web.url}/`)).toContain('names no file');
    expect(web.asked).toEqual([]);
    expect(await all.json(`image add --checksum sha256:${sum().toUpperCase()} ${at()}`)).toMatchObject({
      name: 'lab',
      verified: 'sha256 of --checksum',
    });
    web.files.set('/sums', Buffer.from(`SHA256 (lab.qcow2) = ${sum()}\n`));
    expect(await all.json(`image add --name two --checksum ${at('sums')} ${at()}`)).toMatchObject({
      verified: `sha256 of ${at('sums')}`,
    });
  });

  test.each([
    [
      'nowhere',
      404,
      {},
      /nowhere is not there \(HTTP 404\): its maker may have moved it; give the new URL, with --checksum/,
    ],
    ['forbidden', 403, {}, /forbidden was refused \(HTTP 403 Forbidden\)/],
    ['around', 302, { location: '/around' }, /leads to another address more than 5 times/],
    ['ftp', 301, { location: 'ftp://a.example/b' }, /ftp leads to ftp:\/\/a\.example\/b, which is not followed/],
    ['bad', 301, { location: 'http://[' }, /leads to http:\/\/\[, which is not followed/],
    ['nothing', 301, {}, /nothing was refused \(HTTP 301/],
    ['none', 416, {}, /none is empty/],
  ])('that answers as %s does is told', async (path, status, headers, told) => {
    web.files.set(`/${path}`, (_request, response) => void response.writeHead(status, headers).end());
    expect(await all.fails(1, `image add --checksum ${sum()} ${at(path)}`)).toMatch(told);
    expect(web.asked.length).toBeLessThan(8);
    expect(await names()).toEqual([]);
  });

  test('may lead elsewhere', async () => {
    web.files.set('/lab.qcow2', (_request, response) => void response.writeHead(307, { location: 'b/c' }).end());
    web.files.set('/b/c', disk);
    expect(await all.json(`image add --checksum ${sum()} ${at()}`)).toMatchObject({ name: 'lab', status: 'active' });
  });

  test('that is not reached is told, with what to do', async () => {
    const gone = await startStockServer();
    gone.stop();
    const otherwise = 'where there is no way out, --mirror names a web server of your own, or give the file itself';
    expect(await all.fails(1, `image add --checksum ${sum()} ${gone.url}/x`)).toMatch(
      new RegExp(`127.0.0.1:\\d+ was not reached \\(.*ECONNREFUSED.*\\); ${otherwise}$`),
    );
    expect(await all.fails(1, `image add --checksum ${sum()} http://nowhere.invalid/x`)).toContain(
      `the name nowhere.invalid was not found (is there a network?); ${otherwise}`,
    );
  });

  test('that breaks off is taken up again, or from the beginning where the server knows no ranges', async () => {
    const half = disk.length >> 1;
    const breaking: RequestListener = (_request, response) => {
      response.writeHead(200, { 'content-length': disk.length });
      response.write(disk.subarray(0, half), () => setTimeout(() => response.destroy(), 100));
    };
    web.files.set('/lab.qcow2', breaking);
    const add = `image add --checksum ${sum()} ${at()}`;
    expect(await all.fails(1, add)).toMatch(/the transfer broke off \(\w.*\); running it again goes on from there$/);
    expect(cached()).toEqual([sum()]);
    const place = join(directory, 'cache/cumulet/images', sum());
    const got = readFileSync(place).length;
    expect(got).toBeGreaterThan(0);
    web.asked.length = 0;
    web.files.set('/lab.qcow2', disk);
    await all.ok(add);
    expect(web.asked).toEqual([`/lab.qcow2 bytes=${got}-`]);
    await all.ok('image delete lab');

    writeFileSync(place, 'something else');
    web.files.set('/lab.qcow2', (_request, response) => void response.writeHead(200).end(disk));
    expect(await all.json(add)).toMatchObject({ os_hash_value: sumOf('sha512', disk) });
    await all.ok('image delete lab');

    // Everything had come when it was interrupted.
    writeFileSync(place, disk);
    web.files.set('/lab.qcow2', disk);
    expect(await all.json(add)).toMatchObject({ status: 'active' });
    expect(cached()).toEqual([]);
  });

  test('has no place where the cache can not be', async () => {
    web.files.set('/lab.qcow2', disk);
    const add = ['image', 'add', '--checksum', sum(), at()];
    const env = { OS_CLOUD: 'test' };
    expect((await all.spawn(add, { ...env, XDG_CACHE_HOME: '/dev/null' })).err).toContain(
      'the download has no place: ENOTDIR',
    );
    const place = join(all.directory, '.cache/cumulet/images', sum());
    mkdirSync(place, { recursive: true });
    expect((await all.spawn(add, env)).err).toMatch(/images\/\w{64} could not be written: EISDIR/);
  });

  test('shows on a terminal how far it is, and nowhere else', async () => {
    web.files.set('/lab.qcow2', disk);
    const env = { OS_CLOUD: 'test', XDG_CACHE_HOME: join(directory, 'cache') };
    const add = ['image', 'add', '--checksum', sum(), at(), '-f', 'value', '-c', 'name'];
    const { exit, out } = await all.type(add, [], env);
    expect(exit).toBe(0);
    expect(out).toMatch(/downloading \S+: 100 % of \d\.\d MB/);
    expect(out).toMatch(/sending \S+: 100 %/);
    await all.ok('image delete lab');
    expect(await all.spawn(add, env)).toEqual({ exit: 0, out: 'lab\n', err: '' });
  });
});

describe('by https', () => {
  let secure: StockServer;
  let certificate: string;
  beforeAll(async () => {
    certificate = join(directory, 'cert.pem');
    const key = join(directory, 'key.pem');
    const name = ['-subj', '/CN=lab', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'];
    execFileSync('openssl', ['req', ...kind, ...name, '-keyout', key, '-out', certificate], { stdio: 'pipe' });
    secure = await startStockServer({ key: readFileSync(key), cert: readFileSync(certificate) });
    secure.files.set('/lab.img', disk);
    const elsewhere = { location: `${web.url}/lab.img` };
    secure.files.set('/down', (_request, response) => void response.writeHead(302, elsewhere).end());
  });
  afterAll(() => secure.stop());
  test('a server must prove who it is, and --insecure is for the cloud only', async () => {
    const { exit, err } = await all.spawn(['--insecure', 'image', 'add', `${secure.url}/lab.img`]);
    expect(exit).toBe(1);
    expect(err).toMatch(
      /127\.0\.0\.1:\d+ did not prove who it is \(self-signed certificate\); NODE_EXTRA_CA_CERTS names/,
    );
  });

  test('no checksum is needed, and the way does not lead to http', async () => {
    const env = { OS_CLOUD: 'test', NODE_EXTRA_CA_CERTS: certificate };
    const { exit, out } = await all.spawn(['image', 'add', `${secure.url}/lab.img`, '-f', 'json'], env);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ name: 'lab', verified: 'no, as no --checksum was given' });
    web.files.set('/lab.img', disk);
    const { err } = await all.spawn(['image', 'add', `${secure.url}/down`], env);
    expect(err).toContain(`leads to ${web.url}/lab.img, which is not followed`);
    expect(web.asked).toEqual([]);
    expect(readdirSync(join(all.directory, '.cache/cumulet/images'))).not.toContainEqual(
      expect.stringContaining('unchecked'),
    );
  });

  test('what is no disk does not stay', async () => {
    secure.files.set('/page', Buffer.from('<!DOCTYPE html>'.padEnd(600)));
    const env = { OS_CLOUD: 'test', NODE_EXTRA_CA_CERTS: certificate };
    expect((await all.spawn(['image', 'add', `${secure.url}/page`], env)).err).toContain(
      '/page is a page of text, not a disk',
    );
    expect(readdirSync(join(all.directory, '.cache/cumulet/images'))).not.toContainEqual(
      expect.stringContaining('unchecked'),
    );
  });
});

describe('a file', () => {
  test('is taken as it is, or when it has the checksum', async () => {
    const file = join(directory, 'own.img');
    writeFileSync(file, Buffer.alloc(1_000_000, 'x'));
    const raw = await all.json(`image add ${file}`);
    expect(raw).toMatchObject({ name: 'own', disk_format: 'raw', min_disk: 1, image_source: 'own.img' });
    expect(existsSync(file)).toBe(true);
    const wrong = await all.fails(1, `image add --name b --checksum ${'0'.repeat(64)} ${file}`);
    expect(wrong).toMatch(/own\.img does not have the SHA256 checksum 0{64}, but \w{64}$/);
    expect(await all.fails(1, `image add ${directory}`)).toContain('could not be read: it is no file');
  });

  test('that is not taken leaves no image', async () => {
    const file = join(directory, 'hostile.qcow2');
    const bytes = Buffer.from(disk);
    // A backing file, which the image service refuses.
    bytes.writeBigUInt64BE(512n, 8);
    bytes.writeUInt32BE(4, 16);
    writeFileSync(file, bytes);
    expect(await all.fails(1, `image add ${file}`)).toMatch(/HTTP 4\d\d.*; no image was made$/s);
    expect(await names()).toEqual([]);
  });
});

describe('an interruption', () => {
  const interrupt = async (words: readonly string[], when: () => Promise<boolean>): Promise<[number, string]> => {
    const main = join(root, 'cli/dist/main.js');
    const env = { ...process.env, ...childCoverage(), HOME: all.directory, OS_CLOUD: 'test' };
    const child = spawn(process.execPath, [main, 'image', 'add', ...words], { cwd: all.directory, env });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const ended = once(child, 'close');
    while (!(await when())) await pause(20);
    child.kill('SIGINT');
    const [exit] = (await ended) as [number];
    return [exit, err];
  };

  test('of the download keeps what came', async () => {
    web.files.set('/lab.img', (_request, response) => {
      response.writeHead(200, { 'content-length': disk.length });
      response.write(disk.subarray(0, 100_000));
    });
    const sum = sumOf('sha256', disk);
    const [exit, err] = await interrupt(['--checksum', sum, `${web.url}/lab.img`], () =>
      Promise.resolve(cached().includes(sum) && readFileSync(join(directory, 'cache/cumulet/images', sum)).length > 0),
    );
    expect([exit, err]).toEqual([130, 'cumulet: interrupted; running it again goes on from there\n']);
    expect(cached()).toEqual([sum]);
    web.files.set('/lab.img', disk);
    await all.ok(`image add --checksum ${sum} ${web.url}/lab.img`);
    expect(web.asked.at(-1)).toMatch(/^\/lab\.img bytes=[1-9]\d*-$/);
  });

  test('of the upload leaves no image', async () => {
    const file = join(directory, 'large.raw');
    writeFileSync(file, '');
    truncateSync(file, 4 * 1024 ** 3);
    const [exit, err] = await interrupt([file], async () => (await names()).includes('large'));
    rmSync(file);
    expect([exit, err]).toEqual([
      130,
      'cumulet: interrupted; no image was made; running it again goes on from there\n',
    ]);
    expect(await names()).toEqual([]);
  });
});
