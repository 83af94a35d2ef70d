// What cumulet server ssh reads from an attempt to log in, and how long it goes on.
import { attemptOf, type Attempt } from '../../cli/src/sshProbe';
import { isComing, isYoung, untilLogin, type Login } from '../../cli/src/sshWait';

const DENIED = 'root@192.0.2.1: Permission denied (publickey,password).';
const TAKEN = 'debug1: Server accepts key: /home/anna/.ssh/id_ed25519 ED25519 SHA256:l explicit';

test.each([
  ['silent', 255, 'ssh: connect to host 192.0.2.1 port 22: No route to host\r\n', 'No route to host'],
  ['silent', 255, 'ssh: connect to host 192.0.2.1 port 22: Connection refused\r\n', 'Connection refused'],
  ['silent', 255, 'ssh: connect to host 192.0.2.1 port 22: Connection timed out\r\n', 'Connection timed out'],
  [
    'silent',
    255,
    'debug1: Local version string SSH-2.0-OpenSSH_9.2p1\nConnection timed out during banner exchange\nConnection to 192.0.2.1 port 22 timed out\n',
    'Connection to 192.0.2.1 port 22 timed out',
  ],
  [
    'silent',
    255,
    `${TAKEN}\n"System is booting up. Unprivileged users are not permitted to log in yet."\nConnection closed by 192.0.2.1 port 22\n`,
    'Connection closed by 192.0.2.1 port 22',
  ],
  ['silent', undefined, '', 'no answer'],
  ['denied', 255, `debug1: No more authentication methods to try.\n${DENIED}\n`, DENIED],
])('%s: status %p (%#)', (kind, code, said, reason) => {
  expect(attemptOf(code, said)).toEqual({ kind, reason });
});

test.each([
  ['it gets in', 0, 'debug1: Exit status 0\n'],
  ['a command that is not its own ends otherwise', 142, 'Please login as the user "debian".\n'],
  ['the key has a passphrase', 255, `${TAKEN}\ndebug1: No more authentication methods to try.\n${DENIED}\n`],
  ['the host key has changed', 255, 'Host key for x has changed.\r\nHost key verification failed.\r\n'],
  ['there is no way to the network', 255, 'ssh: connect to host 192.0.2.1 port 22: Network is unreachable\n'],
  ['its configuration is wrong', 255, '/home/anna/.ssh/config: line 1: Bad configuration option: no\n'],
  ['it says nothing', 255, ''],
])('there is nothing to wait for when %s', (_what, code, said) => {
  expect(attemptOf(code, said)).toEqual({ kind: 'decided' });
});

describe('a server is young', () => {
  const now = Date.UTC(2026, 0, 1, 12, 0, 0);
  const OLD = '2026-01-01T11:00:00.000000';
  const NEW = '2026-01-01T11:58:00.000000';
  const old = { 'OS-SRV-USG:launched_at': OLD };
  test.each([
    [true, 'launched', { 'OS-SRV-USG:launched_at': NEW }, []],
    [true, 'rebooted', old, [{ action: 'reboot', start_time: NEW }]],
    [
      true,
      'started',
      old,
      [
        { action: 'create', start_time: OLD },
        { action: 'start', start_time: `${NEW}Z` },
      ],
    ],
    [false, 'launched long ago', old, [{ action: 'reboot', start_time: OLD }]],
    [false, 'stopped and changed', old, [{ action: 'attach_interface', start_time: NEW }]],
    [false, 'never launched', { 'OS-SRV-USG:launched_at': null }, []],
  ])('%p when it was %s', (young, _what, row, actions) => {
    expect(isYoung(row, actions, now, 10)).toBe(young);
  });

  test('for longer when a longer wait is asked for', () => {
    expect(isYoung(old, [], now, 3599)).toBe(false);
    expect(isYoung(old, [], now, 3601)).toBe(true);
  });
});

test.each([
  [true, 'BUILD', 'spawning'],
  [true, 'SHUTOFF', 'powering-on'],
  [true, 'SHELVED_OFFLOADED', 'spawning'],
  [true, 'HARD_REBOOT', 'rebooting_hard'],
  [false, 'ACTIVE', 'image_snapshot'],
  [false, 'SHUTOFF', null],
  [false, 'ERROR', 'spawning'],
])('%p: a server comes up by itself in %s with task %s', (coming, status, task) => {
  expect(isComing({ status, 'OS-EXT-STS:task_state': task })).toBe(coming);
});

describe('waiting for a login', () => {
  const silent: Attempt = { kind: 'silent', reason: 'Connection refused' };
  const denied: Attempt = { kind: 'denied', reason: DENIED };
  /** Tries that end as they are told, the last one again and again. @returns how many there were, and what was shown */
  async function wait(attempts: readonly Attempt[], changes: Partial<Login>): Promise<[number, string[]]> {
    const shown: string[] = [];
    let tries = 0;
    await untilLogin({
      ...{ name: 'hello', address: '192.0.2.1', user: 'root', seconds: 1, end: performance.now() + 60_000 },
      young: () => true,
      attempt: () => Promise.resolve(attempts[Math.min(tries++, attempts.length - 1)] ?? silent),
      progress: (text) => void shown.push(text),
      ...changes,
    });
    return [tries, shown];
  }

  test('tells what it waits for, and takes that away', async () => {
    expect(await wait([silent, { kind: 'decided' }], {})).toEqual([
      2,
      ['hello: waiting until ssh answers at 192.0.2.1 (Connection refused)', ''],
    ]);
  });

  test('ends with words when nobody answers in time', async () => {
    await expect(wait([silent], { end: performance.now() })).rejects.toThrow(
      'server hello did not answer ssh at 192.0.2.1 within 1 s (Connection refused): "cumulet console log show hello"',
    );
  });

  test('ends with what the attempt before said when the end has cut the last one short', async () => {
    let end = performance.now() + 1200;
    const cut: Attempt = { kind: 'silent', reason: 'no answer' };
    const attempts: Attempt[] = [silent, cut];
    const attempt = (): Promise<Attempt> => Promise.resolve(attempts.shift() ?? cut);
    await expect(wait([], { end, attempt })).rejects.toThrow('within 1 s (Connection refused)');
    attempts.push(denied);
    end = performance.now() + 1200;
    await wait([], { end, attempt });
  });

  test('leaves it to ssh to say that a key is not taken: of an old server at once, of a young one when the time is over', async () => {
    expect(await wait([denied], { young: () => false })).toEqual([1, ['']]);
    expect(await wait([denied], { end: performance.now() })).toEqual([
      1,
      [`hello: waiting until it lets root in (${DENIED})`, ''],
    ]);
  });
});
