// A CA and certificates of a test's own, made by the administrator's commands.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec, readTls, type Peer, type TlsConfig, type TlsFiles } from '@cumulet/common';
import { addPeer, initCa } from '@cumulet/controller';

export interface TestCa {
  readonly directory: string;
  /** Makes a certificate and what goes with it, once per name. */
  add(role: Peer['role'], name: string): Promise<void>;
  config(name: string): TlsConfig;
  files(name: string): TlsFiles;
  stop(): void;
}

export async function makeTestCa(): Promise<TestCa> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-ca-'));
  await initCa(exec, join(directory, 'ca'), 'cumulet');
  const config = (name: string): TlsConfig => {
    const at = (file: string): string => join(directory, name, file);
    return { ca: at('ca.crt'), cert: at('certificate.crt'), key: at('certificate.key') };
  };
  return {
    directory,
    add: (role, name) => addPeer(exec, join(directory, 'ca'), { role, name }, join(directory, name), 'cumulet', false),
    config,
    files: (name) => readTls(config(name)),
    stop: () => rmSync(directory, { recursive: true, force: true }),
  };
}
