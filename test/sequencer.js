// The order of test files: groups as they are numbered, the longest first; others as jest does, by how long they took before.
const { default: Sequencer } = require('@jest/test-sequencer');
const { isGroup } = require('./groups');

module.exports = class extends Sequencer {
  sort(tests) {
    return tests.every(({ path }) => isGroup(path))
      ? tests.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      : super.sort(tests);
  }
};
