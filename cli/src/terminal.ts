// This terminal as that of a guest: bytes both ways over a WebSocket, until Ctrl+] or the end of the console.
import { WebSocket } from 'ws';
import { CliError } from './errors';

/** Ctrl+], as telnet and virsh have it. */
const LEAVE = 0x1d;
/** Codes of a WebSocket's end: by the other side, and by us, who say none (RFC 6455, 7.4.1). */
const ENDED = 1000;
const LEFT = 1005;

export interface Tls {
  readonly ca?: string;
  readonly verify?: boolean;
}

/**
 * Resolves when the user leaves or the console ends as it should.
 * @param url - http: or https:, with the ticket
 * @param words - shown first
 * @throws CliError with the reason when it is refused or breaks off
 */
export async function attachTerminal(url: string, { ca, verify }: Tls, words: string): Promise<void> {
  const { stdin, stdout, stderr } = process;
  const options = { ...(ca === undefined ? {} : { ca }), ...(verify === false ? { rejectUnauthorized: false } : {}) };
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options);
  const type = (bytes: Buffer): void => {
    const end = bytes.indexOf(LEAVE);
    if (socket.readyState === WebSocket.OPEN) socket.send(end < 0 ? bytes : bytes.subarray(0, end));
    if (end >= 0) socket.close();
  };
  try {
    const { code, reason } = await new Promise<{ code: number; reason: string }>((resolve, reject) => {
      socket.on('open', () => {
        stderr.write(`${words}\r\n`);
        stdin.setRawMode(true);
        stdin.resume().on('data', type);
      });
      socket.on('message', (data: Buffer) => stdout.write(data));
      socket.on('error', (error) => reject(new CliError(`the console could not be opened: ${error.message}`)));
      socket.on('close', (status, said) => resolve({ code: status, reason: said.toString() }));
    });
    if (code !== ENDED && code !== LEFT) throw new CliError(reason || 'the connection was lost');
    stderr.write(`\r\n${reason}${reason ? '\r\n' : ''}`);
  } finally {
    stdin.removeListener('data', type);
    stdin.pause();
    if (stdin.isTTY) stdin.setRawMode(false);
  }
}
