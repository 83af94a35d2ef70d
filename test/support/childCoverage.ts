// Processes that a test starts count for coverage too: Node writes what they ran when they end.

/** What to add to the environment of a process made of our code; nothing when coverage is not measured. */
export function childCoverage(): Record<string, string> {
  const directory = process.env['CUMULET_CHILD_COVERAGE'];
  return directory === undefined ? {} : { NODE_V8_COVERAGE: directory };
}
