// A guest run by QEMU's emulation without libvirt: serial console on a socket, user-mode network, power button by QMP.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A running guest. */
export interface QemuGuest {
  /** Everything written to the serial console so far. */
  log(): string;
  /** Resolves with the console log once the text stands in it after `from` (characters); rejects after the limit. */
  seen(text: string, from?: number, limitMs?: number): Promise<string>;
  /** Types on the serial console. */
  type(text: string): void;
  /** Presses the ACPI power button. */
  powerButton(): Promise<void>;
  /** Resolves when QEMU ended by itself (the guest powered off); rejects after the limit. */
  poweredOff(limitMs?: number): Promise<void>;
  /** Ends QEMU and removes its directory. */
  destroy(): Promise<void>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function socket(file: string, alive: () => boolean): Promise<Socket> {
  for (;;) {
    const attempt = connect(file);
    const result = await new Promise<Socket | undefined>((resolve) => {
      attempt.once('connect', () => resolve(attempt)).once('error', () => resolve(undefined));
    });
    if (result) return result;
    if (!alive()) throw new Error(`qemu ended before its socket ${file} was there`);
    await pause(50);
  }
}

/** Starts a guest from an image that is not written to.
 * @param netdev - options of QEMU's user network, for example hostfwd
 * @param extra - further arguments for QEMU */
export async function startGuest(image: string, netdev: string, extra: readonly string[] = []): Promise<QemuGuest> {
  const directory = mkdtempSync(path.join(tmpdir(), 'cumulet-guest-'));
  const serialPath = path.join(directory, 'serial');
  const qmpPath = path.join(directory, 'qmp');
  const qemu: ChildProcess = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc,accel=tcg', '-cpu', 'qemu64', '-m', '128', '-nodefaults', '-display', 'none'],
      ...[
        '-device',
        'virtio-rng-pci',
        '-serial',
        `unix:${serialPath},server=on`,
        '-qmp',
        `unix:${qmpPath},server=on,wait=off`,
      ],
      ...['-drive', `file=${image},if=virtio,format=qcow2,snapshot=on`, '-nic', `user,model=virtio-net-pci,${netdev}`],
      ...extra,
    ],
    { stdio: 'ignore' },
  );
  let ended = false;
  const end = new Promise<void>((resolve) => qemu.once('exit', () => resolve())).then(() => {
    ended = true;
  });
  let text = '';
  const serial = await socket(serialPath, () => !ended);
  serial.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))).on('error', () => undefined);
  const within = async (what: string, limitMs: number, done: () => boolean): Promise<void> => {
    for (const until = Date.now() + limitMs; !done(); await pause(50)) {
      if (Date.now() > until) throw new Error(`${what} not seen; console:\n${text.slice(-3000)}`);
    }
  };
  return {
    log: () => text,
    seen: async (wanted, from = 0, limitMs = 150_000) => {
      await within(wanted, limitMs, () => text.includes(wanted, from));
      return text;
    },
    type: (typed) => void serial.write(typed),
    powerButton: async () => {
      const qmp = await socket(qmpPath, () => !ended);
      qmp.on('error', () => undefined);
      qmp.write('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}');
    },
    poweredOff: (limitMs = 120_000) => within('power off', limitMs, () => ended),
    destroy: async () => {
      qemu.kill('SIGKILL');
      await end;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
