// The last screen of `up`: what there is, what to try, where things are, how to end it; warnings last. 24 lines at most.

/** What the last screen tells. */
export interface Summary {
  readonly url: string;
  /** Where other machines reach it; undefined: nowhere. */
  readonly endpoint: string | undefined;
  /** The line that logs in to the first server, or why there is none. */
  readonly ssh: string;
  readonly cloudsFile: string;
  readonly data: string;
  readonly logs: string;
  /** How the script was called. */
  readonly command: string;
  readonly warnings: readonly string[];
}

const LINES = 24;
const COLUMNS = 80;

/** How many lines of a terminal the lines take. */
export function rows(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / COLUMNS)), 0);
}

function folded(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** The lines of the last screen, which take 24 lines of 80 columns at most; warnings that find no room are counted. */
export function lastScreen(summary: Summary): string[] {
  const { url, endpoint, ssh, cloudsFile, data, logs, command, warnings } = summary;
  const lines = [
    '',
    `The cloud is up: ${url}/v3`,
    ...(endpoint === undefined ? [] : [`From other machines: ${endpoint}   (cumulet cloud export --help)`]),
    `Clouds "cumulet" (administrator) and "cumulet-demo" are in ${cloudsFile}`,
    'Log in to the first server:',
    `  ${ssh}`,
    'Try next:',
    '  openstack --os-cloud cumulet-demo server list',
    '  openstack --os-cloud cumulet-demo console log show hello',
    '  openstack --os-cloud cumulet-demo server create --image tiny \\',
    '    --flavor m1.tiny --network demo --key-name default --wait two',
    `Data: ${data}   Logs: ${logs}`,
    `Stop: sudo ${command} down   (servers keep running)`,
    `Remove everything: sudo ${command} down --purge`,
  ];
  const notes = warnings.map((warning) => folded(`warning: ${warning}`, COLUMNS));
  const room = LINES - rows(lines) - 1;
  const shown: string[] = [];
  let left = notes.length;
  for (const note of notes) {
    if (rows([...shown, ...note]) > room - 1) break;
    shown.push(...note);
    left -= 1;
  }
  if (left > 0) shown.push(`and ${left} more warnings in ${logs}/install.log`);
  return shown.length > 0 ? [...lines, '', ...shown] : lines;
}
