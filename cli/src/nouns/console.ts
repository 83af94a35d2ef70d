// cumulet console log show, console url show, server console: what a server writes, and ways to its screen and keyboard.
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError } from '../errors';
import { idFor } from '../resource';
import { attachTerminal } from '../terminal';
import { server } from './resources';

/** Between looks at a log that is followed, in milliseconds. */
const FOLLOW_MS = 1_000;
/** Characters by which the end of what was shown is found again in a newer tail of the log. */
const REMEMBERED = 1_000;

/** What a tail of the log has that was not shown yet; all of it when nothing is known again. */
export function newIn(log: string, shown: string): string {
  const known = shown.slice(-REMEMBERED);
  const at = log.lastIndexOf(known);
  return at < 0 ? log : log.slice(at + known.length);
}

async function read(api: Context['api'], id: string, length?: number): Promise<string> {
  const wanted: Row = length === undefined ? {} : { length };
  const { output } = await api.json('compute', 'POST', `/servers/${id}/action`, { 'os-getConsoleOutput': wanted });
  return typeof output === 'string' ? output : '';
}

const log: Command = {
  name: 'console log show',
  summary: 'Show what a server wrote to its console',
  example: '--lines 20 hello',
  args: ['server'],
  options: {
    lines: text('only this many lines from the end', 'COUNT'),
    follow: flag('go on with what it writes, until Ctrl+C'),
  },
  async run({ api, input }) {
    const lines = input.number('lines');
    const id = await idFor(api, server, input.arg(0));
    let shown = await read(api, id, lines);
    if (!input.flag('follow')) return { text: shown };
    process.stdout.write(shown);
    // Until the server is gone, which the next look says, or somebody ends this process.
    for (;;) {
      await new Promise((next) => setTimeout(next, FOLLOW_MS));
      const more = newIn(await read(api, id), shown);
      process.stdout.write(more);
      shown = (shown + more).slice(-REMEMBERED);
    }
  },
};

/** The address of a console, which opens it once. */
async function consoleOf(api: Context['api'], id: string, serial: boolean): Promise<Row> {
  const wanted = serial ? { protocol: 'serial', type: 'serial' } : { protocol: 'vnc', type: 'novnc' };
  const { remote_console } = await api.json('compute', 'POST', `/servers/${id}/remote-consoles`, {
    remote_console: wanted,
  });
  return remote_console as Row;
}

const url: Command = {
  name: 'console url show',
  summary: 'Show an address that opens the console of a server in a browser, once',
  example: '--serial hello',
  args: ['server'],
  options: {
    novnc: flag('its screen; this is the default'),
    serial: flag('its serial port'),
  },
  async run({ api, input }) {
    if (input.flag('novnc') && input.flag('serial')) throw new CliError('--novnc and --serial exclude each other', 2);
    return { one: await consoleOf(api, await idFor(api, server, input.arg(0)), input.flag('serial')) };
  },
};

const attach: Command = {
  name: 'server console',
  summary: "Use a server's serial console in this terminal",
  example: 'hello',
  args: ['server'],
  async run({ api, input }) {
    if (!process.stdin.isTTY || !process.stdout.isTTY)
      throw new CliError('a console needs a terminal; "cumulet console log show" reads without one', 2);
    const id = await idFor(api, server, input.arg(0));
    const address = await consoleOf(api, id, true);
    await attachTerminal(String(address['url']), api.tls, `Console of ${input.arg(0)}. Ctrl+] leaves it.`);
    return undefined;
  },
};

export const commands: readonly Command[] = [log, url, attach];
