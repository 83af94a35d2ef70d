// Passwords and keys: hashes carry their cost, only a few run at once, sealed keys open only with their file.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKeyFile, readKeyFile, requireKeyFile, type KeyFile } from '../../controller/src/services/identity/keyFile';
import { createPasswords, gate } from '../../controller/src/services/identity/passwords';

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'cumulet-keys-'))));
afterEach(() => rmSync(directory, { recursive: true }));

test('a hash fits its password and no other, and no two are alike', async () => {
  const passwords = createPasswords(10);
  const [one, two] = [await passwords.hash('secret'), await passwords.hash('secret')];
  expect(one).toMatch(/^\$scrypt\$ln=10,r=8,p=1\$[\w+/=]+\$[\w+/=]+$/);
  expect(one).not.toBe(two);
  expect(await passwords.verify('secret', one)).toBe(true);
  expect(await passwords.verify('Secret', one)).toBe(false);
  expect(await passwords.verify('', null)).toBe(false);
});

test('a hash of another cost still fits and is known to be outdated', async () => {
  const hash = await createPasswords(11).hash('secret');
  const passwords = createPasswords(10);
  expect(await passwords.verify('secret', hash)).toBe(true);
  expect(passwords.outdated(hash)).toBe(true);
  expect(passwords.outdated(await passwords.hash('x'))).toBe(false);
});

test.each(['', 'secret', '$scrypt$ln=10,r=8,p=1$salt', '$2b$12$abc'])(
  'a damaged hash "%s" is an error, not a refusal',
  async (hash) => {
    await expect(createPasswords(10).verify('secret', hash)).rejects.toThrow('damaged');
  },
);

test('at most so much runs and waits; the rest is refused, and a failure frees its place', async () => {
  const enter = gate(2, 1);
  const open: (() => void)[] = [];
  const started: number[] = [];
  const work = (id: number) =>
    enter(async () => {
      started.push(id);
      await new Promise<void>((resolve) => open.push(resolve));
      if (id === 1) throw new Error('broken');
      return id;
    });
  const runs = [1, 2, 3].map(work);
  const outcomes = Promise.allSettled(runs);
  await expect(work(4)).rejects.toMatchObject({ status: 503 });
  expect(started).toEqual([1, 2]);
  open[0]?.();
  await expect(runs[0]).rejects.toThrow('broken');
  expect(started).toEqual([1, 2, 3]);
  open[1]?.();
  open[2]?.();
  expect((await outcomes).map((one) => one.status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  const again = work(5);
  open[3]?.();
  expect(await again).toBe(5);
});

/** The key file at a path, made when there is none. */
const keyFileAt = (path: string): KeyFile => {
  makeKeyFile(path);
  return requireKeyFile(path);
};

test('a key file is made once, for its owner alone, and opens what it sealed', () => {
  const path = join(directory, 'key');
  expect(readKeyFile(path)).toBeUndefined();
  expect(() => requireKeyFile(path)).toThrow(`there is no key file ${path}, but the database has signing keys`);
  expect([makeKeyFile(path), makeKeyFile(path)]).toEqual([true, false]);
  const sealed = requireKeyFile(path).seal('private');
  expect(sealed).not.toContain('private');
  expect(requireKeyFile(path).open(sealed)).toBe('private');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['key']);
});

test('what was sealed with another file, or changed, does not open', () => {
  const path = join(directory, 'key');
  const file = keyFileAt(path);
  const sealed = Buffer.from(file.seal('private'), 'base64');
  sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
  for (const text of [sealed.toString('base64'), keyFileAt(join(directory, 'other')).seal('x'), 'AAAA'])
    expect(() => file.open(text)).toThrow('does not fit the signing keys');
});

test('a key file that is damaged, can not be read or has no place is named', () => {
  const path = join(directory, 'key');
  writeFileSync(path, 'too short');
  expect(() => readKeyFile(path)).toThrow(`the key file ${path} does not hold 32 bytes`);
  expect(() => readKeyFile(directory)).toThrow(`cannot read the key file ${directory}`);
  expect(() => makeKeyFile(join(directory, 'nowhere', 'key'))).toThrow('cannot make the key file');
});
