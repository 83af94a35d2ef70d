// The order of test files: crash and contract tests first, because a long file that begins last keeps one processor busy alone.
// Jest itself goes by size and by how long a file took before, which a fresh machine doesn't know.
const { default: Sequencer } = require('@jest/test-sequencer');

module.exports = class extends Sequencer {
  sort(tests) {
    const isLong = ({ path }) => /\/test\/(crash|contract)\//.test(path);
    const sorted = super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
