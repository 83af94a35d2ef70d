// Test files in groups that jest runs as one file each. What a file loads, the whole product for most of them, jest loads anew for
// each of its files, and looks for coverage at all of it after each: that was more than a fifth of the time of all tests.
const { spawnSync } = require('node:child_process');
const { mkdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const program = require.resolve('jest/bin/jest');
/** A group's size in bytes of its files; about ten seconds. */
const LIMIT = 40_000;
/** Tests of crashes are short to read and long to run. */
const isLong = (file) => /^test\/(crash|contract)\//.test(file);
/** What a file would replace for its whole group. */
const replaces = (text) => text.includes('jest.mock(');

/**
 * Files that follow each other, because neighbours load the same; long ones alone. The long and the large groups come first, because
 * one that begins last keeps one processor busy alone.
 * @param {{ file: string, text: string }[]} files
 * @param {number} [limit] of a group
 * @returns {string[][]} each file once
 */
function groupsOf(files, limit = LIMIT) {
  const groups = [];
  let open;
  for (const { file, text } of files) {
    const long = isLong(file);
    if (long || replaces(text)) groups.push({ files: [file], size: text.length, long });
    else if (open && open.size + text.length <= limit) {
      open.files.push(file);
      open.size += text.length;
    } else groups.push((open = { files: [file], size: text.length, long }));
  }
  return groups.sort((a, b) => b.long - a.long || b.size - a.size).map((group) => group.files);
}

/** A group's file as `writeGroups` names it. @param {string} file */
const isGroup = (file) => /^\d{3}-[\w.]+\.group\.js$/.test(path.basename(file));

/**
 * Writes the groups of what jest would run with `options`, and a configuration of jest that runs them.
 * @param {string} root the checkout
 * @param {string} directory where to; made
 * @param {string[]} options a project and what its files' paths match
 * @returns {string} the configuration's file
 */
function writeGroups(root, directory, options) {
  const { stdout } = spawnSync(process.execPath, [program, '--listTests', '--json', ...options], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const files = JSON.parse(stdout)
    .sort()
    .map((file) => ({ file: path.relative(root, file), text: readFileSync(file, 'utf8') }));
  mkdirSync(directory);
  for (const [index, group] of groupsOf(files).entries()) {
    const number = String(index + 1).padStart(3, '0');
    const each = group.map((file) => `describe('${file}', () => void require('${path.join(root, file)}'));\n`);
    writeFileSync(path.join(directory, `${number}-${path.basename(group[0], '.test.ts')}.group.js`), each.join(''));
  }
  const config = path.join(directory, 'jest.config.json');
  const { projects, ...all } = require(path.join(root, 'jest.config.js'));
  const grouped = { roots: [root, directory], testMatch: [`${directory}/*.group.js`], testPathIgnorePatterns: [] };
  writeFileSync(
    config,
    JSON.stringify({ ...all, rootDir: root, projects: projects.map((project) => ({ ...project, ...grouped })) }),
  );
  return config;
}

module.exports = { groupsOf, isGroup, writeGroups };
