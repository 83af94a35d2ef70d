// Kernel settings that filtering depends on: with br_netfilter off, every rule for bridged traffic is silently skipped.
import { CumuletError, messageOf, type Exec, type Logger } from '@cumulet/common';

const WANTED: Readonly<Record<string, string>> = {
  'net.bridge.bridge-nf-call-iptables': '1',
  'net.bridge.bridge-nf-call-ip6tables': '1',
};

/** The settings that differ from what they must be, from the output of `sysctl -e` on them. Absent ones differ. */
export function wrongSettings(text: string, wanted: Readonly<Record<string, string>>): string[] {
  const found = new Map(
    text.split('\n').map((line) => {
      const [key = '', value = ''] = line.split('=');
      return [key.trim(), value.trim()] as const;
    }),
  );
  return Object.keys(wanted).filter((key) => found.get(key) !== wanted[key]);
}

/** Puts the settings right. @returns those that were wrong. @throws CumuletError no_bridge_filter when the kernel has none of it */
export async function ensureBridgeFilter(exec: Exec, forwarding: boolean): Promise<string[]> {
  const wanted = forwarding ? { ...WANTED, 'net.ipv4.ip_forward': '1' } : WANTED;
  const wrong = wrongSettings((await exec(['sysctl', '-e', ...Object.keys(wanted)])).stdout, wanted);
  if (wrong.length === 0) return wrong;
  try {
    await exec(['sysctl', '-q', '-w', ...wrong.map((key) => `${key}=1`)]);
  } catch (error) {
    const words = `the kernel settings ${wrong.join(', ')} can't be switched on: without them (br_netfilter) no security group works`;
    throw new CumuletError('no_bridge_filter', words, { wrong }, error);
  }
  return wrong;
}

/** Loads br_netfilter where it is a module; where it is built in there is nothing to load. */
export async function loadBridgeFilter(exec: Exec, log: Logger): Promise<void> {
  await exec(['modprobe', 'br_netfilter']).catch((error: unknown) => {
    log.debug({ error: messageOf(error) }, 'br_netfilter was not loaded as a module');
  });
}
