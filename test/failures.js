// What failed, in a few lines each: the end of the output is all that some CI shows.
const path = require('node:path');
const { stripVTControlCharacters } = require('node:util');

const LINES = 3;
const CHARACTERS = 300;
/** How many lines a comparison adds and removes: nobody asks. */
const COUNTS = /^[-+] (Expected|Received) +[-+] +\d+$/;

/** The beginning of a failure's message. @param {string} message */
function beginning(message) {
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !COUNTS.test(line));
  const text = lines.slice(0, LINES).join('\n    ');
  return text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}...` : text;
}

/**
 * The failed tests of one project, and its files that could not run.
 * @param {string} project
 * @param {string} root what files are named from
 * @param {{ testResults: object[] }} result what `jest --json` wrote
 * @returns {string[]} text for each
 */
function failuresOf(project, root, { testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = path.relative(root, name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0 && status === 'failed')
      return [`${project}: ${file} could not run\n    ${beginning(message)}`];
    return failed.map(
      ({ fullName, failureMessages }) =>
        `${project}: ${file}: ${fullName}\n    ${beginning(failureMessages.join('\n'))}`,
    );
  });
}

module.exports = { failuresOf };
