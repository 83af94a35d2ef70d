// What systemd wants to hear (sd_notify): ready, stopping, alive.
import { writeSync } from 'node:fs';
import { messageOf } from './errors';
import type { Logger } from './log';

export interface ServiceManager {
  ready(): void;
  stopping(): void;
}

/**
 * Node.js opens no datagram sockets of the unix family, so `systemd/notify-exec` opens it and becomes this process; a write to
 * the descriptor is a message. Without a service manager nothing is said.
 */
export function createServiceManager(environment: NodeJS.ProcessEnv, log: Logger): ServiceManager {
  const descriptor = Number(environment['CUMULET_NOTIFY_FD'] ?? -1);
  let failed = false;
  const say = (text: string): void => {
    if (!Number.isInteger(descriptor) || descriptor < 3) return;
    try {
      writeSync(descriptor, text);
    } catch (error) {
      if (!failed) log.warn({ error: messageOf(error) }, 'systemd could not be told');
      failed = true;
    }
  };
  const microseconds = Number(environment['WATCHDOG_USEC'] ?? 0);
  let timer: NodeJS.Timeout | undefined;
  return {
    ready() {
      say('READY=1');
      // Twice as often as demanded: a process whose event loop stands still is restarted.
      if (microseconds > 0) timer = setInterval(() => say('WATCHDOG=1'), microseconds / 2000).unref();
    },
    stopping() {
      say('STOPPING=1');
      clearInterval(timer);
    },
  };
}
