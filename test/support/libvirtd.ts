// Makes sure that a real libvirtd answers on this machine: starts the daemons by hand where no service manager did.
import { setTimeout as pause } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { LibvirtClient } from '@cumulet/libvirt';

const answers = async (): Promise<boolean> => {
  try {
    await (await LibvirtClient.connect({ uri: 'test:///default' })).close();
    return true;
  } catch {
    return false;
  }
};

/** Returns when `test:///default` answers. The daemons go on running: other tests use them too. */
export async function startLibvirtd(): Promise<void> {
  if (await answers()) return;
  if (!existsSync('/run/libvirt/virtlogd-sock')) execFileSync('virtlogd', ['-d']);
  execFileSync('libvirtd', ['-d']);
  while (!(await answers())) await pause(100);
}
