// firewalld rejects what is forwarded for interfaces of no zone, whatever other tables accept: it is asked to take our bridges into one.
import { existsSync } from 'node:fs';
import { CommandError, messageOf, type Exec, type Logger } from '@cumulet/common';

/** libvirt's zone for networks that this machine routes, which libvirt's package brings: open both ways, the host itself is not. */
const ROUTED = 'libvirt-routed';
/** Always there; it lets answers in, but nothing new from other machines. */
const FALLBACK = 'trusted';

const ZONES = 'org.fedoraproject.FirewallD1.zone';
/** The system bus without starting what does not run. */
const CALL = ['busctl', '--system', '--auto-start=no', '--json=short', 'call'];
const TARGET = ['org.fedoraproject.FirewallD1', '/org/fedoraproject/FirewallD1', ZONES];
/** How busctl says that there is no firewalld, or no bus that it could be on. */
const ABSENT = /does not exist|was not provided|not activatable|Failed to connect to bus/;

type ActiveZones = Readonly<Record<string, { readonly interfaces?: readonly string[] }>>;

export interface Firewalld {
  /**
   * Has firewalld, where it runs, take these bridges into a zone, and forget those of ours that are gone. What a reload lost is put
   * back by the next call. One that its administrator gave another zone stays there. Nothing that goes wrong stops networking: it is
   * logged, and tried again by the next call.
   */
  sync(bridges: ReadonlySet<string>): Promise<void>;
}

/** Where every distribution puts its daemon. Most hosts have none, and a question to nobody is a process all the same. */
const DAEMON = '/usr/sbin/firewalld';

/** @param isOurs whether an interface of this name would be a bridge of ours, be it there or not */
export function createFirewalld(
  exec: Exec,
  log: Logger,
  isOurs: (name: string) => boolean,
  daemon = DAEMON,
): Firewalld {
  const call = async (method: string, ...args: string[]): Promise<unknown> => {
    const signature = args.length === 0 ? [] : ['s'.repeat(args.length), ...args];
    const { stdout } = await exec([...CALL, ...TARGET, method, ...signature]);
    return (JSON.parse(stdout) as { data: readonly unknown[] }).data[0];
  };

  const activeZones = async (): Promise<ActiveZones | undefined> => {
    if (!existsSync(daemon)) return undefined;
    try {
      return (await call('getActiveZones')) as ActiveZones;
    } catch (error) {
      // Without busctl there is no systemd, and nobody runs firewalld without it.
      if (error instanceof CommandError && (error.exitCode === null || ABSENT.test(error.stderr))) return undefined;
      throw error;
    }
  };

  const bind = async (names: readonly string[]): Promise<void> => {
    if (names.length === 0) return;
    const known = (await call('getZones')) as readonly string[];
    const zone = known.includes(ROUTED) ? ROUTED : FALLBACK;
    for (const name of names) await call('addInterface', zone, name);
    const facts = { zone, bridges: names };
    if (zone === ROUTED) log.info(facts, 'firewalld passes what these bridges forward');
    else log.warn(facts, `firewalld knows no zone ${ROUTED} until it is reloaded: other machines reach no server`);
  };

  return {
    async sync(bridges) {
      try {
        const active = await activeZones();
        if (active === undefined) return;
        const zoneOf = new Map(
          Object.entries(active).flatMap(([zone, { interfaces = [] }]) =>
            interfaces.map((name) => [name, zone] as const),
          ),
        );
        await bind([...bridges].filter((name) => !zoneOf.has(name)));
        for (const [name, zone] of zoneOf)
          if ((zone === ROUTED || zone === FALLBACK) && isOurs(name) && !bridges.has(name))
            await call('removeInterface', zone, name);
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'firewalld did not take our bridges: it may drop what servers send');
      }
    },
  };
}
