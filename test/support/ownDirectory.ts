// A directory below the system's temporary one that is removed when its owner ends, however that happens.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface OwnDirectory {
  readonly path: string;
  remove(): void;
}

/** Waits for the end of its standard input, which we hold; then for those who write into the directory and end as we do. */
const GUARD = 'trap "" INT TERM; read -r _; sleep 1; rm -rf "$1"';

export function makeOwnDirectory(prefix: string): OwnDirectory {
  const path = mkdtempSync(join(tmpdir(), prefix));
  const guard = spawn('sh', ['-c', GUARD, 'guard', path], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guard.unref();
  (guard.stdin as Socket).unref();
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true });
      guard.kill('SIGKILL');
    },
  };
}
