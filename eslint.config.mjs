import tseslint from 'typescript-eslint';

/** Which workspaces a workspace may import: the architecture's borders. */
const borders = {
  libvirt: [],
  common: [],
  cli: [],
  controller: ['common'],
  'compute-agent': ['common', 'libvirt'],
  'network-agent': ['common'],
  'storage-agent': ['common'],
  standalone: ['common', 'libvirt', 'controller', 'compute-agent', 'network-agent', 'storage-agent'],
};
const workspaces = Object.keys(borders);
const restrict = (files, patterns) => ({ files, rules: { 'no-restricted-imports': ['error', { patterns }] } });
const forbidden = (workspace) =>
  workspaces
    .filter((other) => other !== workspace && !borders[workspace].includes(other))
    .map((other) => ({
      group: [`@cumulet/${other}`, `@cumulet/${other}/*`],
      message: `${workspace} must not know ${other}`,
    }));
/** The ORM stays behind db/: everything else sees only read and write sessions. */
const orm = { group: ['typeorm', 'better-sqlite3', 'mysql2'], message: 'only db/ touches the database library' };
const noExec = {
  group: ['child_process', 'node:child_process'],
  message: 'host commands go through common/src/exec.ts',
};

export default tseslint.config(
  { ignores: ['**/dist/**', 'node_modules/**', 'coverage/**', '**/*.js', '**/*.mjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    // One program for all: with one for each workspace the types of Node.js and of each other are read nine times.
    languageOptions: { parserOptions: { project: 'tsconfig.lint.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  ...workspaces.map((workspace) => restrict([`${workspace}/src/**/*.ts`], [...forbidden(workspace), noExec])),
  restrict(
    ['controller/src/api/**/*.ts'],
    [
      ...forbidden('controller'),
      orm,
      noExec,
      { group: ['**/conductor/**'], message: 'api -> services, never the conductor' },
    ],
  ),
  restrict(
    ['controller/src/services/**/*.ts'],
    [
      ...forbidden('controller'),
      orm,
      noExec,
      { group: ['**/api/**', '**/conductor/**', 'express'], message: 'services know neither api nor conductor' },
    ],
  ),
  restrict(
    ['controller/src/conductor/**/*.ts', 'controller/src/scheduler/**/*.ts'],
    [
      ...forbidden('controller'),
      orm,
      noExec,
      { group: ['**/api/**', 'express'], message: 'the conductor does not know the api' },
    ],
  ),
  restrict(
    ['controller/src/db/**/*.ts'],
    [
      ...forbidden('controller'),
      noExec,
      { group: ['**/api/**', '**/conductor/**', '**/services/**'], message: 'db knows only itself' },
    ],
  ),
  {
    files: ['common/src/exec.ts', 'common/src/inheritedSocket.ts', 'cli/src/**/*.ts'],
    rules: { 'no-restricted-imports': 'off' },
  },
  { files: ['cli/src/**/*.ts', '**/main.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-console': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
);
