// Keepalive by a clock that the test turns.
import { startKeepalive } from '../../libvirt/src/keepalive';

interface Alarm {
  at: number;
  callback: () => void;
}

function scene() {
  let now = 0;
  const alarms = new Set<Alarm>();
  const log: string[] = [];
  const timers = {
    setTimeout(callback: () => void, ms: number): Alarm {
      const alarm = { at: now + ms, callback };
      alarms.add(alarm);
      return alarm;
    },
    clearTimeout: (alarm: unknown) => void alarms.delete(alarm as Alarm),
  };
  const keepalive = startKeepalive(
    { intervalMs: 5, misses: 2 },
    () => log.push(`ping ${now}`),
    (silent) => log.push(`dead ${now} after ${silent}`),
    timers,
  );
  const turnTo = (time: number): void => {
    for (; now <= time; now++) {
      for (const alarm of [...alarms]) if (alarm.at <= now && alarms.delete(alarm)) alarm.callback();
    }
    now = time;
  };
  return { keepalive, log, turnTo };
}

test('pings a silent daemon, and gives it up after the misses', () => {
  const { log, turnTo } = scene();
  turnTo(100);
  expect(log).toEqual(['ping 5', 'ping 10', 'dead 15 after 15']);
});

test('whatever is heard starts the wait anew', () => {
  const { keepalive, log, turnTo } = scene();
  for (let time = 4; time < 100; time += 4) {
    turnTo(time);
    keepalive.heard();
  }
  expect(log).toEqual([]);
  turnTo(106);
  expect(log).toEqual(['ping 101', 'ping 106']);
  keepalive.heard();
  turnTo(112);
  expect(log.at(-1)).toBe('ping 111');
});

test('does not count while this side does not read', () => {
  const { keepalive, log, turnTo } = scene();
  keepalive.suspend();
  turnTo(50);
  expect(log).toEqual([]);
  keepalive.resume();
  turnTo(55);
  expect(log).toEqual(['ping 55']);
});

test('is quiet once stopped', () => {
  const { keepalive, log, turnTo } = scene();
  keepalive.stop();
  keepalive.heard();
  turnTo(100);
  expect(log).toEqual([]);
});
