// The trees that guests walk: OpenStack's and EC2's metadata by path, and the same files for a config drive.
import { contentPath, ec2MetaData, metaData, networkData, type Ec2Tree, type GuestFacts } from './metadataDocuments';

export interface MetadataFile {
  readonly contentType: string;
  readonly bytes: Buffer;
}

const openstackVersions = [
  ...['2012-08-10', '2013-04-04', '2013-10-17', '2015-10-15', '2016-06-30', '2016-10-06', '2017-02-22'],
  ...['2018-08-27', '2020-10-14', 'latest'],
];
const ec2Versions = [
  ...['1.0', '2007-01-19', '2007-03-01', '2007-08-29', '2007-10-10', '2007-12-15', '2008-02-01', '2008-09-01'],
  ...['2009-04-04', 'latest'],
];

const text = (value: string): MetadataFile => ({ contentType: 'text/plain; charset=UTF-8', bytes: Buffer.from(value) });
const document = (value: unknown): MetadataFile => ({
  contentType: 'application/json',
  bytes: Buffer.from(JSON.stringify(value)),
});
const listing = (names: readonly string[]): MetadataFile => text(names.join('\n'));

const userDataOf = (guest: GuestFacts): MetadataFile | undefined =>
  guest.server.user_data === null
    ? undefined
    : { contentType: 'application/octet-stream', bytes: Buffer.from(guest.server.user_data, 'base64') };

/** The files of one version of the OpenStack tree. Versions are dates, so they compare as texts; "latest" is after all. */
function openstackFiles(guest: GuestFacts, version: string): Map<string, MetadataFile> {
  const files = new Map<string, MetadataFile>([['meta_data.json', document(metaData(guest))]]);
  const userData = userDataOf(guest);
  if (userData) files.set('user_data', userData);
  if (version >= '2013-04-04') files.set('password', text(''));
  if (version >= '2013-10-17') files.set('vendor_data.json', document({}));
  if (version >= '2015-10-15') files.set('network_data.json', document(networkData(guest.ports)));
  if (version >= '2016-10-06') files.set('vendor_data2.json', document({ static: {} }));
  return files;
}

function openstackAnswer(guest: GuestFacts, [version, name, ...rest]: readonly string[]): MetadataFile | undefined {
  if (version === undefined) return listing(openstackVersions);
  if (version === 'content') {
    const index = guest.server.personality.findIndex((_file, at) => contentPath(at) === `/content/${name ?? ''}`);
    const file = guest.server.personality[index];
    return file && { contentType: 'application/octet-stream', bytes: Buffer.from(file.contents, 'base64') };
  }
  if (!openstackVersions.includes(version) || rest.length > 0) return undefined;
  const files = openstackFiles(guest, version);
  return name === undefined ? listing([...files.keys(), '']) : files.get(name);
}

/** Folders end in a slash, except keys, which are listed by number and name. */
function ec2Listing(tree: Ec2Tree): MetadataFile {
  return listing(
    Object.entries(tree).map(([name, value]) => (typeof value === 'string' || /^\d+=/.test(name) ? name : `${name}/`)),
  );
}

function ec2Answer(guest: GuestFacts, [part, ...path]: readonly string[]): MetadataFile | undefined {
  if (part === undefined) return listing(['meta-data/', ...(guest.server.user_data === null ? [] : ['user-data'])]);
  if (part === 'user-data') return path.length === 0 ? userDataOf(guest) : undefined;
  if (part !== 'meta-data') return undefined;
  let tree: Ec2Tree = ec2MetaData(guest);
  for (const [at, step] of path.entries()) {
    const name = Object.keys(tree).find((key) => key === step || (key.split('=')[0] === step && /^\d+=/.test(key)));
    const value = name === undefined ? undefined : tree[name];
    if (value === undefined) return undefined;
    if (typeof value === 'string') return at === path.length - 1 ? text(value) : undefined;
    tree = value;
  }
  return ec2Listing(tree);
}

/** What a guest gets at a path ("/openstack/latest/meta_data.json"); undefined where there is nothing. */
export function metadataFile(guest: GuestFacts, path: string): MetadataFile | undefined {
  const [top, ...rest] = path.split('/').filter((part) => part !== '');
  if (top === undefined) return listing([...ec2Versions]);
  if (top === 'openstack') return openstackAnswer(guest, rest);
  return ec2Versions.includes(top) ? ec2Answer(guest, rest) : undefined;
}

/** The files of a config drive by path, in base64. The same server gives the same files. */
export function configDriveFiles(guest: Omit<GuestFacts, 'randomSeed'>): Record<string, string> {
  const files: Record<string, string> = {};
  const add = (path: string, bytes: Buffer): void => void (files[path] = bytes.toString('base64'));
  for (const version of openstackVersions) {
    for (const [name, file] of openstackFiles(guest, version))
      if (name !== 'password') add(`openstack/${version}/${name}`, file.bytes);
  }
  guest.server.personality.forEach((file, index) =>
    add(`openstack${contentPath(index)}`, Buffer.from(file.contents, 'base64')),
  );
  const userData = userDataOf(guest);
  for (const version of ['2009-04-04', 'latest']) {
    add(`ec2/${version}/meta-data.json`, Buffer.from(JSON.stringify(ec2MetaData(guest))));
    if (userData) add(`ec2/${version}/user-data`, userData.bytes);
  }
  return files;
}
