// The API for other machines: TLS listeners that wait for their address to come and take up new certificates while they run.
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ConfigError, exec, listenOn, messageOf, type Clock, type Logger } from '@cumulet/common';
import { answerUnreadable } from '../api/unreadable';
import { urlHost } from '../api/origin';
import type { ControllerConfig } from '../config';
import type { Consoles } from '../consoles/proxy';
import { repeat, type Repeating } from '../repeat';
import { resolveAddress } from './address';
import { givenCertificate, ownCertificate, ownNames, timeProblem, type Certificate } from './certificate';
import type { RemoteApiConfig } from './config';

/** How often an address that was not there is tried again. */
const RETRY_MS = 5_000;
/** How often certificates are looked at. */
const LOOK_MS = 3_600_000;

export interface RemoteApi {
  /** Opens the listeners; an address that is not there yet is waited for. @throws ConfigError: the port is taken, the certificate is wrong */
  start(): Promise<void>;
  /** Reads or renews the certificate, and shows it to connections from now on. */
  renew(): Promise<void>;
  listening(): readonly AddressInfo[];
  /** Where other machines reach us, and the CA that they must trust for it; null when it is one that they know. */
  access(): { readonly endpoint: string; readonly ca: string | null };
  /** What is not as configured, in words. */
  missing(): readonly string[];
  stop(): Promise<void>;
}

interface Parts {
  readonly config: ControllerConfig;
  readonly remote: RemoteApiConfig;
  readonly app: RequestListener;
  readonly consoles: Pick<Consoles, 'attach'>;
  readonly clock: Pick<Clock, 'now' | 'tick'>;
  readonly log: Logger;
}

/** Where the own CA and certificate are. */
const certificateDirectory = ({ data_dir }: Pick<ControllerConfig, 'data_dir'>): string => join(data_dir, 'tls');

const settings = ({ cert, key }: Certificate) => ({ cert, key, minVersion: 'TLSv1.2' as const });

/** Nothing listens before `start`. */
export function createRemoteApi({ config, remote, app, consoles, clock, log }: Parts): RemoteApi {
  const servers: Server[] = [];
  const work: Repeating[] = [];
  let certificate: Certificate | undefined;
  let problem: string | undefined = 'not yet started';
  let stopped = false;

  async function readCertificate(resolved: readonly string[]): Promise<Certificate> {
    const given = givenCertificate(remote);
    const odd = given && timeProblem(given.cert, clock.now());
    if (odd !== undefined)
      log.warn({ certificate: remote.cert, problem: odd }, "the API's certificate must be replaced");
    return (
      given ??
      ownCertificate(exec, certificateDirectory(config), ownNames(remote.address, resolved, config.names), clock.now())
    );
  }

  async function open(): Promise<void> {
    const addresses = await resolveAddress(remote.address);
    certificate = await readCertificate(addresses);
    for (const address of addresses) {
      const server = createServer({ ...settings(certificate), keepAliveTimeout: 65_000, requestTimeout: 0 }, app);
      answerUnreadable(server);
      consoles.attach(server);
      await listenOn(server, address, remote.port);
      servers.push(server);
    }
    log.info({ endpoint: endpoint() }, 'the API listens for other machines');
    problem = undefined;
  }

  const close = async (): Promise<void> => {
    const open = servers.splice(0);
    await Promise.all(
      open.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  };

  async function attempt(): Promise<void> {
    if (problem === undefined || stopped) return;
    try {
      await open();
    } catch (error) {
      await close();
      const words = `the API is not open to other machines: ${messageOf(error)}`;
      if (words !== problem) log.warn({ address: remote.address, port: remote.port, error: messageOf(error) }, words);
      problem = words;
      throw error;
    }
  }

  const addresses = (): AddressInfo[] => servers.map((server) => server.address() as AddressInfo);
  const endpoint = (): string =>
    config.endpoint ?? `https://${urlHost(remote.address)}:${addresses()[0]?.port ?? remote.port}`;

  return {
    async start() {
      // A wrong file does not come right by waiting; an address may, as with DHCP after a boot.
      givenCertificate(remote);
      await attempt().catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return;
        throw new ConfigError(`remote_api: port ${remote.port} of ${remote.address} is in use by another program`, {
          key: 'remote_api',
        });
      });
      const parts = { clock, log };
      work.push(repeat(parts, 'renewing the certificate of the API', LOOK_MS, () => this.renew()));
      // Said once above; the words of each try would fill the log.
      work.push(repeat(parts, 'opening the API', RETRY_MS, () => attempt().catch(() => undefined)));
    },
    async renew() {
      if (problem !== undefined) return;
      certificate = await readCertificate(await resolveAddress(remote.address));
      for (const server of servers) server.setSecureContext(settings(certificate));
    },
    listening: addresses,
    access: () => ({ endpoint: endpoint(), ca: certificate?.ca ?? null }),
    missing: () => (problem === undefined ? [] : [problem]),
    async stop() {
      stopped = true;
      await Promise.all(work.map((one) => one.stop()));
      await close();
    },
  };
}
