// Projects: `unit` runs anywhere and in parallel, on SQLite; `mariadb` runs what the database matters to once more, on a MariaDB
// that it starts; `host` and `lab` need root and the real parts and run one file at a time, `host` because it has the machine for
// itself, `lab` because its servers and namespaces are heavy.
const common = {
  rootDir: __dirname,
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2023', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } },
    ],
  },
  moduleNameMapper: {
    '^@cumulet/(common|libvirt|controller|compute-agent|network-agent|storage-agent|standalone|cli)$':
      '<rootDir>/$1/src/index.ts',
  },
  modulePathIgnorePatterns: ['/dist/'],
  haste: { forceNodeFilesystemAPI: true },
};
module.exports = {
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/test/{unit,api,crash,contract,fuzz}/**/*.test.ts'] },
    {
      ...common,
      displayName: 'mariadb',
      testMatch: [
        '<rootDir>/test/{mariadb,api,crash}/**/*.test.ts',
        '<rootDir>/test/unit/{database,identityFeed,migrations}.test.ts',
      ],
      // Clients and what is refused before the database is asked: the same on both.
      testPathIgnorePatterns: ['/test/api/(cli|client|terraform|up|badInput|secondTenant)'],
      globalSetup: '<rootDir>/test/support/mariadbSetup.ts',
      globalTeardown: '<rootDir>/test/support/mariadbTeardown.ts',
      setupFiles: ['<rootDir>/test/support/onMariadb.ts'],
    },
    { ...common, displayName: 'host', testMatch: ['<rootDir>/test/host/**/*.test.ts'] },
    { ...common, displayName: 'guests', testMatch: ['<rootDir>/test/guests/**/*.test.ts'] },
    { ...common, displayName: 'lab', testMatch: ['<rootDir>/test/lab/**/*.test.ts'] },
  ],
  // Patience, no promise: how long something takes is measured elsewhere, and a full machine is ten times as slow as a free one.
  testTimeout: 180_000,
  // What a file has loaded stays in its worker, and coverage looks at all of it after each file: a fresh worker is a fifth cheaper.
  workerIdleMemoryLimit: '400MB',
  collectCoverageFrom: [
    '{common,libvirt,controller,compute-agent,network-agent,storage-agent,standalone,cli}/src/**/*.ts',
    '!**/index.ts',
  ],
  testSequencer: '<rootDir>/test/sequencer.js',
  coverageProvider: 'v8',
};
