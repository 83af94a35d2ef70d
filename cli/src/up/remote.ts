// What `up --listen` changes in the configuration: where the API listens for other machines, and with which certificate.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { isMap, parseDocument } from 'yaml';

/** What was asked for; empty: not said. */
export interface ListenOptions {
  readonly listen: string;
  readonly cert: string;
  readonly key: string;
}

interface RemoteApi {
  readonly address: string;
  readonly port?: number;
  readonly cert?: string;
  readonly key?: string;
}

const DEFAULT_PORT = 5000;
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/;

function changed(before: RemoteApi | undefined, { listen, cert, key }: ListenOptions): RemoteApi | undefined {
  if (LOOPBACK.test(listen)) {
    if (cert !== '' || key !== '')
      throw new Error(`--cert and --key are for other machines, and none reaches ${listen}`);
    return undefined;
  }
  const address = listen === '' ? before?.address : listen;
  if (address === undefined)
    throw new Error('--cert and --key need --listen ADDRESS: the API listens on this machine only');
  // Who names an address anew and no certificate wants the cloud's own.
  const files = cert === '' && key === '' ? {} : { cert, key };
  return { address, ...(before?.port === undefined ? {} : { port: before.port }), ...files };
}

/** Says so when another program has the port. What else is wrong with the address, the check of the configuration tells. */
async function requireFree(address: string, port: number): Promise<void> {
  const probe = createServer();
  try {
    await once(probe.listen(port, address), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
      throw new Error(`port ${port} of ${address} is in use by another program: stop that program first`, {
        cause: error,
      });
    return;
  }
  probe.close();
}

/**
 * The text of the configuration with these options in it; everything else, comments included, stays. The same text when nothing changes.
 * @throws Error in words
 */
export async function withRemote(text: string, options: ListenOptions): Promise<string> {
  if ([options.listen, options.cert, options.key].every((value) => value === '')) return text;
  if ((options.cert === '') !== (options.key === ''))
    throw new Error('--cert and --key go together: give both or none');
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem ?? !isMap(document.contents)) throw new Error('the configuration is not valid YAML: repair it first');
  const { remote_api: before, controller } = document.toJS() as { remote_api?: RemoteApi | null; controller?: object };
  if (controller && 'remote_api' in controller)
    throw new Error('the configuration has remote_api below controller: --listen is of no use beside it');
  const after = changed(before ?? undefined, options);
  if (JSON.stringify(before ?? undefined) === JSON.stringify(after)) return text;
  if (after === undefined) document.delete('remote_api');
  else {
    if (after.address !== before?.address) await requireFree(after.address, after.port ?? DEFAULT_PORT);
    document.set('remote_api', document.createNode(after));
  }
  return document.toString({ lineWidth: 0 });
}
