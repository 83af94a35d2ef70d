// What this machine needs to make others.
import { exec } from '@cumulet/common';

/** @param who it is that needs them, in words. @throws Error in one line with everything that is missing */
export async function checkTools(who: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error(`${who} needs root, for containers and a bridge`);
  const needed = {
    mmdebstrap: 'mmdebstrap',
    'systemd-nspawn': 'systemd-container',
    nft: 'nftables',
    git: 'git',
    ssh: 'openssh-client',
  };
  const missing: string[] = [];
  for (const [command, name] of Object.entries(needed))
    await exec(['sh', '-c', `command -v ${command}`]).catch(() => missing.push(name));
  if (missing.length > 0) throw new Error(`${who} needs packages: apt-get install ${missing.join(' ')}`);
}
