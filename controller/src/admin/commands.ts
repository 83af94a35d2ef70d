// The administrator's commands: `ca init`, `controller add NAME`, `host add NAME`.
import { parseArgs } from 'node:util';
import { exec, messageOf } from '@cumulet/common';
import { addPeer, initCa } from './directories';

const OPTIONS = {
  ca: { type: 'string', default: '/etc/cumulet/ca' },
  out: { type: 'string' },
  renew: { type: 'boolean', default: false },
  'virtual-host': { type: 'string', default: 'cumulet' },
} as const;

export const adminUsage = `
  ca init              make the cloud's CA, the controllers' user at the message broker, and their key file
  controller add NAME  make the certificate of a controller, and copy the key file for it
  host add NAME        make the certificate of a host and its user at the message broker

  --out DIR            where to write; copy it to /etc/cumulet/tls there; default ./NAME
  --renew              a new certificate for one that is in DIR; the rest stays
  --ca DIR             directory of the CA; default /etc/cumulet/ca
  --virtual-host NAME  virtual host at the message broker; default cumulet
`;

/** Whether these arguments are one of the commands here. */
export const isAdminCommand = ([noun = '']: readonly string[]): boolean => ['ca', 'controller', 'host'].includes(noun);

const importWords = (directory: string): string =>
  `At the message broker run: rabbitmqctl import_definitions < ${directory}/broker.json\n`;

async function carryOut(args: readonly string[]): Promise<string> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const [noun, verb, name, ...more] = positionals;
  const { ca, renew, 'virtual-host': virtualHost } = values;
  if (noun === 'ca' && verb === 'init' && name === undefined) {
    await initCa(exec, ca, virtualHost);
    return `The CA is in ${ca}. Keep ca.key safe: who has it can be any host.\n${importWords(ca)}`;
  }
  if ((noun !== 'host' && noun !== 'controller') || verb !== 'add' || name === undefined || more.length > 0)
    throw new Error(`unknown command\n${adminUsage}`);
  const out = values.out ?? name;
  await addPeer(exec, ca, { role: noun, name }, out, virtualHost, renew);
  const copy = `Copy ${out} to /etc/cumulet/tls on ${noun} ${name}, readable for root only, and restart what runs there.\n`;
  return renew || noun === 'controller' ? copy : copy + importWords(out);
}

/** Runs a command. Returns the exit code. */
export async function runAdminCommand(args: readonly string[]): Promise<number> {
  try {
    process.stdout.write(await carryOut(args));
    return 0;
  } catch (error) {
    process.stderr.write(`cumulet-controller: ${messageOf(error)}\n`);
    return 1;
  }
}
