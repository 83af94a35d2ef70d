// The user's clouds.yaml: our two entries are put in, everything else, comments included, stays as it is.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { isMap, parseDocument, type Document } from 'yaml';
import { removeEmpty } from '../emptyDirectories';
import { asUser, type CallingUser } from './callingUser';

/** One entry of clouds.yaml, as openstacksdk reads it. */
export interface CloudEntry {
  readonly auth: {
    readonly auth_url: string;
    readonly username: string;
    /** Asked for on a terminal where it is missing. */
    readonly password?: string;
    readonly project_name: string;
    readonly user_domain_name: string;
    readonly project_domain_name: string;
  };
  readonly region_name: string;
  readonly interface: string;
  readonly identity_api_version: string;
  readonly compute_api_version: string;
  readonly cacert?: string;
}

/** An entry for a user and project of domain Default. */
export function cloudEntry(url: string, user: string, password: string | undefined, project: string): CloudEntry {
  return {
    auth: {
      auth_url: `${url}/v3`,
      username: user,
      ...(password === undefined ? {} : { password }),
      project_name: project,
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    },
    region_name: 'RegionOne',
    interface: 'public',
    identity_api_version: '3',
    compute_api_version: '2.79',
  };
}

function parsed(text: string, file: string): Document {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem)
    throw new Error(`${file} is not valid YAML (${problem.message.split('\n')[0] ?? ''}): repair it and run up again`);
  const clouds = document.get('clouds');
  if (
    (document.contents !== null && !isMap(document.contents)) ||
    (clouds !== undefined && clouds !== null && !isMap(clouds))
  ) {
    throw new Error(`${file} does not hold a list of clouds: move it away and run up again`);
  }
  if (clouds === undefined || clouds === null) document.set('clouds', document.createNode({}));
  return document;
}

/** The text with these entries of `clouds` set, or removed where undefined; the same text when nothing changes.
 * @throws Error in words when the text is not a clouds.yaml */
export function mergeClouds(
  text: string,
  entries: Readonly<Record<string, CloudEntry | undefined>>,
  file = 'clouds.yaml',
): string {
  const document = parsed(text, file);
  let changed = false;
  for (const [name, entry] of Object.entries(entries)) {
    const there: unknown = document.getIn(['clouds', name]);
    const now = JSON.stringify(isMap(there) ? there.toJSON() : there);
    if (now === JSON.stringify(entry)) continue;
    changed = true;
    if (entry === undefined) document.deleteIn(['clouds', name]);
    else document.setIn(['clouds', name], document.createNode(entry));
  }
  return changed ? document.toString({ lineWidth: 0 }) : text;
}

/** Where the user's clouds are: clouds.yaml unless only clouds.yml is there. */
export function cloudsPath(home: string): string {
  const directory = path.join(home, '.config/openstack');
  const other = path.join(directory, 'clouds.yml');
  const usual = path.join(directory, 'clouds.yaml');
  return existsSync(other) && !existsSync(usual) ? other : usual;
}

/** What remains of a file that held our entries only. */
const NOTHING = 'clouds: {}\n';

/** The file itself: what a link leads to, so that the link stays. The caller has the user's rights, not root's.
 * @throws Error in words when it is another user's */
function targetOf(file: string, user: CallingUser): string {
  if (!existsSync(file) || !lstatSync(file).isSymbolicLink()) return file;
  const target = realpathSync(file);
  if (statSync(target).uid !== user.uid)
    throw new Error(
      `${file} leads to ${target}, which is not the file of ${user.name}: remove the link and run up again`,
    );
  return target;
}

/** Removes the file, and the directories that were made for it when nothing else is in them. */
function removeFile(file: string): void {
  rmSync(file, { force: true });
  removeEmpty(path.dirname(file), 2);
}

/** Replaces a file in one step; it is its owner's alone from the beginning. */
function replace(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const beside = `${file}.${process.pid}`;
  try {
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx' });
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Puts the entries into the user's file: theirs, mode 0600, replaced in one step; gone when no
 * entry is left in it. @returns its path
 * @throws Error in words when the file cannot be read, understood or written */
export function writeClouds(user: CallingUser, entries: Readonly<Record<string, CloudEntry | undefined>>): string {
  return asUser(user, () => {
    const file = cloudsPath(user.home);
    const target = targetOf(file, user);
    const before = existsSync(target) ? readFileSync(target, 'utf8') : '';
    const after = mergeClouds(before, entries, file);
    // A link is the user's own work, and stays with what it leads to.
    if (after === NOTHING && target === file) removeFile(file);
    else if (after !== before) replace(target, after);
    if (existsSync(target)) chmodSync(target, 0o600);
    return file;
  });
}
