// cumulet image: create with a file, list, show, delete and save.
import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { flag, text, type Command } from '../command';
import { CliError } from '../errors';
import { create, deleteCommand, find, given, idFor, listCommand, showCommand } from '../resource';
import { pairs } from '../pairs';
import { image } from './resources';

function checkFile(file: string): void {
  try {
    if (!statSync(file).isFile()) throw new Error('it is no file');
  } catch (error) {
    throw new CliError(`${file} could not be read: ${(error as Error).message}`);
  }
}

const createImage: Command = {
  name: 'image create',
  summary: 'Create an image and send its file',
  example: 'cumulet image create --disk-format qcow2 --file tiny.qcow2 tiny',
  args: ['name'],
  options: {
    file: text('file with its data', 'FILE'),
    'disk-format': text('qcow2, raw, ... (raw)', 'FORMAT'),
    'container-format': text('bare, ... (bare)', 'FORMAT'),
    public: flag('everybody may use it (administrators)'),
    protected: flag('refuse to delete it'),
    'min-disk': text('GiB of disk it needs', 'GIB'),
    'min-ram': text('MiB of memory it needs', 'MIB'),
    property: text('a property of it; may be repeated', 'KEY=VALUE', { multiple: true }),
  },
  async run({ api, input, progress }) {
    const file = input.text('file');
    if (file !== undefined) checkFile(file);
    const { one } = await create(
      api,
      image,
      given({
        ...pairs(input.all('property')),
        name: input.arg(0),
        disk_format: input.text('disk-format') ?? 'raw',
        container_format: input.text('container-format') ?? 'bare',
        visibility: input.flag('public') ? 'public' : undefined,
        protected: input.flag('protected') || undefined,
        min_disk: input.number('min-disk'),
        min_ram: input.number('min-ram'),
      }),
    );
    if (file === undefined) return { one };
    const id = String(one['id']);
    progress(`sending ${file}`);
    try {
      const body = Readable.toWeb(createReadStream(file));
      await api.send('image', 'PUT', `/images/${id}/file`, body, 'application/octet-stream');
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new CliError(`image "${input.arg(0)}" (${id}) was made but its data was not taken: ${cause}`);
    } finally {
      progress('');
    }
    return { one: await find(api, image, id) };
  },
};

const save: Command = {
  name: 'image save',
  summary: "Write an image's data to a file",
  example: 'cumulet image save --file tiny.qcow2 tiny',
  args: ['image'],
  options: { file: text('file to write', 'FILE', { required: true }) },
  async run({ api, input }) {
    const file = input.text('file') ?? '';
    const id = await idFor(api, image, input.arg(0));
    const answer = await api.send('image', 'GET', `/images/${id}/file`);
    if (answer.status === 204 || !answer.body) throw new CliError(`image "${input.arg(0)}" has no data yet`);
    // The name stands for the whole image only: it appears when everything has come.
    const beside = `${file}.${process.pid}`;
    try {
      await pipeline(Readable.fromWeb(answer.body), createWriteStream(beside, { flags: 'wx' }));
      renameSync(beside, file);
    } catch (error) {
      rmSync(beside, { force: true });
      throw new CliError(`image "${input.arg(0)}" could not be saved as ${file}: ${(error as Error).message}`);
    }
    return undefined;
  },
};

export const imageCommands: readonly Command[] = [
  createImage,
  listCommand(image, [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Status', 'status'],
  ]),
  showCommand(image, 'tiny'),
  deleteCommand(image, 'tiny'),
  save,
];
