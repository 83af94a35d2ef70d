// cumulet image: create with a file, save, list, show, set, unset, delete, and the projects it is shared with.
import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { text, type Command, type Options } from '../command';
import { CliError } from '../errors';
import { either, int, list, marks, pairs, ref, said, sets, str, unmarks } from '../fields';
import { metered, upload } from '../imageData';
import { changeCommand, deleteCommand, listCommand, paging, projectOptions, showCommand } from '../noun';
import { get, idFor, idOf } from '../resource';
import { image, project } from './resources';

const visibilities = (help: (word: string) => string): Options =>
  Object.fromEntries(
    ['public', 'private', 'community', 'shared'].map((word) => [word, sets({ visibility: word }, help(word))]),
  );

const settable: Options = {
  'disk-format': str('disk_format', 'qcow2, raw, ...', 'FORMAT'),
  'container-format': str('container_format', 'bare, ...', 'FORMAT'),
  'min-disk': int('min_disk', 'GiB of disk it needs', 'GIB'),
  'min-ram': int('min_ram', 'MiB of memory it needs', 'MIB'),
  ...visibilities((word) => `its visibility: ${word}`),
  ...either('protected', 'protected', 'unprotected', 'refuse to delete it', 'allow to delete it'),
  ...either('os_hidden', 'hidden', 'unhidden', 'leave it out of lists', 'show it in lists'),
  property: pairs(undefined, 'a property of it'),
  ...projectOptions(project, 'project that owns it (administrators)'),
  project: ref('owner', project, 'project that owns it (administrators)', { within: 'project-domain' }),
};

/** Size of a file in bytes. @throws CliError for what cannot be read */
function sizeOf(file: string): number {
  try {
    const found = statSync(file);
    if (!found.isFile()) throw new Error('it is no file');
    return found.size;
  } catch (error) {
    throw new CliError(`${file} could not be read: ${(error as Error).message}`);
  }
}

const creatable: Options = { ...settable, tag: list('tags', 'a tag of it', 'TAG'), id: str('id', 'its id', 'ID') };

const createImage: Command = {
  name: 'image create',
  summary: 'Create an image and send its file',
  example: '--disk-format qcow2 --file tiny.qcow2 tiny',
  args: ['name'],
  options: { file: text('file with its data', 'FILE'), ...creatable },
  async run(context) {
    const { api, input } = context;
    const file = input.text('file');
    const size = file === undefined ? 0 : sizeOf(file);
    const { tags, ...body } = await said(context, creatable);
    const formats = { disk_format: 'raw', container_format: 'bare' };
    const fields = { ...formats, ...body, name: input.arg(0), ...(tags === undefined ? {} : { tags }) };
    const one = await api.json('image', 'POST', '/images', fields);
    if (file === undefined) return { one };
    const id = idOf(image, one);
    try {
      await upload(context, id, file, size);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new CliError(`image ${id} was made but its data was not taken: ${cause}`);
    }
    return { one: await get(api, image, id) };
  },
};

const save: Command = {
  name: 'image save',
  summary: "Write an image's data to a file",
  example: '--file tiny.qcow2 tiny',
  args: ['image'],
  options: { file: text('file to write', 'FILE', { required: true }) },
  async run({ api, input, progress }) {
    const file = input.text('file') ?? '';
    const id = await idFor(api, image, input.arg(0));
    const answer = await api.send('image', 'GET', `/images/${id}/file`);
    if (answer.status === 204) throw new CliError(`image "${input.arg(0)}" has no data yet`);
    const meter = metered(Number(answer.headers['content-length']), progress, `writing ${file}`);
    // The name stands for the whole image only: it appears when everything has come.
    const beside = `${file}.${process.pid}`;
    try {
      await pipeline(answer.stream, meter, createWriteStream(beside, { flags: 'wx' }));
      renameSync(beside, file);
    } catch (error) {
      rmSync(beside, { force: true });
      throw new CliError(`image "${input.arg(0)}" could not be saved as ${file}: ${(error as Error).message}`);
    } finally {
      progress('');
    }
    return undefined;
  },
};

const changeable: Options = {
  name: str('name', 'its new name', 'NAME'),
  ...settable,
  architecture: str('architecture', 'kind of processor', 'NAME'),
  'os-distro': str('os_distro', 'system in it', 'NAME'),
  'os-version': str('os_version', 'version of that system', 'VERSION'),
  tag: marks('tags', 'a tag of it', 'TAG'),
  activate: sets({ activation: { reactivate: true } }, 'let its data be read again (administrators)'),
  deactivate: sets({ activation: { deactivate: true } }, 'let its data not be read (administrators)'),
  accept: sets({ membership: { accepted: true } }, 'take it into your lists, when it is shared with you'),
  reject: sets({ membership: { rejected: true } }, 'leave it out of your lists'),
  pending: sets({ membership: { pending: true } }, 'decide later'),
};

const unsettable: Options = {
  tag: unmarks('tags', 'a tag to take away', 'TAG'),
  property: text('a property to take away; may be repeated', 'KEY', {
    multiple: true,
    put: (keys) => Object.fromEntries(keys.map((key) => [String(key), null])),
  }),
};

const members = (id: string): string => `/images/${id}/members`;

const memberCommands: readonly Command[] = [
  {
    name: 'image add project',
    summary: 'Share an image with a project',
    example: 'tiny demo',
    args: ['image', 'project'],
    async run({ api, input }) {
      const [id, member] = await Promise.all([idFor(api, image, input.arg(0)), idFor(api, project, input.arg(1))]);
      return { one: await api.json('image', 'POST', members(id), { member }) };
    },
  },
  {
    name: 'image remove project',
    summary: 'Share an image with a project no longer',
    example: 'tiny demo',
    args: ['image', 'project'],
    async run({ api, input }) {
      const [id, member] = await Promise.all([idFor(api, image, input.arg(0)), idFor(api, project, input.arg(1))]);
      await api.json('image', 'DELETE', `${members(id)}/${member}`);
      return undefined;
    },
  },
  {
    name: 'image member list',
    summary: 'List the projects an image is shared with',
    example: 'tiny',
    args: ['image'],
    async run({ api, input }) {
      const rows = await api.list('image', members(await idFor(api, image, input.arg(0))), 'members');
      return { list: { columns: { 'Image ID': 'image_id', 'Member ID': 'member_id', Status: 'status' }, rows } };
    },
  },
];

export const commands: readonly Command[] = [
  createImage,
  listCommand(image, {
    columns: { ID: 'id', Name: 'name', Status: 'status' },
    long: {
      'Disk Format': 'disk_format',
      'Container Format': 'container_format',
      Size: 'size',
      Checksum: 'checksum',
      Visibility: 'visibility',
      Protected: 'protected',
      Project: 'owner',
      Tags: 'tags',
    },
    filters: {
      ...visibilities((word) => `only those of visibility ${word}`),
      all: sets({ visibility: 'all' }, 'those of every visibility'),
      name: str('name', 'only those of this name', 'NAME'),
      status: str('status', 'only those in this status', 'STATUS'),
      'member-status': str('member_status', 'only shared ones with this decision', 'STATUS'),
      ...projectOptions(project, 'only those of this project'),
      project: ref('owner', project, 'only those of this project', { within: 'project-domain' }),
      tag: str('tag', 'only those with this tag', 'TAG'),
      hidden: sets({ os_hidden: true }, 'only hidden ones'),
      property: pairs(undefined, 'only those with this property'),
      sort: str('sort', 'order, as name:asc,size:desc', 'KEY[:DIRECTION]'),
      ...paging,
    },
  }),
  showCommand(image, 'tiny'),
  changeCommand(image, 'set', { example: '--name tiny-1 --property os=linux tiny', options: changeable }),
  changeCommand(image, 'unset', { example: '--property os tiny', options: unsettable }),
  deleteCommand(image, 'tiny'),
  save,
  ...memberCommands,
];
