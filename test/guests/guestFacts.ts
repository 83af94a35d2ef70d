// What a guest of any maker tells about itself, asked by one login: each takes seconds under emulation.

/** Commands of the guest, by what they tell. */
const QUESTIONS = {
  result: 'cat /run/cloud-init/result.json',
  identified: 'cat /run/cloud-init/ds-identify.log',
  instance: 'cat /var/lib/cloud/data/instance-id',
  product: 'cat /sys/class/dmi/id/product_name',
  vendor: 'cat /sys/class/dmi/id/sys_vendor',
  uuid: 'sudo cat /sys/class/dmi/id/product_uuid',
  hostname: 'hostname',
  user: 'whoami',
  mark: 'cat /etc/mark',
  markedBy: 'cat /run/mark',
  links: 'ip -json -4 address',
  network: 'sudo cat /etc/netplan/50-cloud-init.yaml',
  disk: 'cat /sys/class/block/vda/size',
  filesystem: 'df --output=size -B512 / | tail -n 1',
  entropy: 'cat /sys/class/misc/hw_random/rng_current',
  clock: 'timedatectl show -p Timezone -p LocalRTC',
  time: 'date +%s',
} as const;

/** What the guest answered, by what was asked. */
export type GuestFacts = Readonly<Record<keyof typeof QUESTIONS | 'neighbour' | 'ping', string>>;

/** One command line for all of them; it waits until the first boot is done. @param neighbour - a name to be resolved and pinged */
export function askAll(neighbour: string): string {
  const all = { ...QUESTIONS, neighbour: `getent ahostsv4 ${neighbour}`, ping: `ping -c 1 -W 10 ${neighbour}` };
  const wait = 'until [ -e /run/cloud-init/result.json ]; do sleep 1; done';
  return [wait, ...Object.entries(all).map(([name, command]) => `echo; echo "@@${name}"; ${command} 2>&1`)].join('; ');
}

/** The answers out of what the command line wrote. */
export const factsOf = (text: string): GuestFacts =>
  Object.fromEntries(
    text
      .split(/^@@/m)
      .slice(1)
      .map((part): [string, string] => {
        const [name = '', ...lines] = part.split('\n');
        return [name, lines.join('\n').trim()];
      }),
  ) as GuestFacts;
