// cumulet keypair.
import { readFileSync, writeFileSync } from 'node:fs';
import { flag, text, type Command, type Row } from '../command';
import { CliError } from '../errors';
import { said, str } from '../fields';
import { deleteCommand, listCommand } from '../noun';
import { find, get, idOf } from '../resource';
import { keypair } from './resources';

function publicKey(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(`the public key could not be read: ${(error as Error).message}`);
  }
}

const creatable = {
  'public-key': str('public_key', 'file with the public key; without it a pair is made', 'FILE', { read: publicKey }),
  type: str('type', 'ssh', 'TYPE'),
};

const createKeypair: Command = {
  name: 'keypair create',
  summary: 'Bring a public key, or have a pair made',
  example: '--public-key ~/.ssh/id_ed25519.pub default',
  args: ['name'],
  options: { ...creatable, 'private-key': text('file to write the private key to', 'FILE') },
  async run(context) {
    const { api, input } = context;
    const file = input.text('private-key');
    if (file !== undefined && input.text('public-key') !== undefined)
      throw new CliError('the private key of a public key is not known here: leave --private-key out', 2);
    const body = { name: input.arg(0), type: 'ssh', ...(await said(context, creatable)) };
    const answer = await api.json('compute', 'POST', '/os-keypairs', { keypair: body });
    const { private_key: secret, public_key: _, ...one } = answer['keypair'] as Row;
    if (typeof secret !== 'string') return { one };
    if (file === undefined) return { text: secret };
    try {
      writeFileSync(file, secret, { mode: 0o600, flag: 'wx' });
    } catch (error) {
      await api.json('compute', 'DELETE', `/os-keypairs/${encodeURIComponent(input.arg(0))}`);
      throw new CliError(`the private key could not be written, so the pair was removed: ${(error as Error).message}`);
    }
    return { one };
  },
};

const showKeypair: Command = {
  name: 'keypair show',
  summary: 'Show one of your keypairs',
  example: 'default',
  args: ['keypair'],
  options: { 'public-key': flag('only the public key') },
  async run({ api, input }) {
    const one = await get(api, keypair, idOf(keypair, await find(api, keypair, input.arg(0))));
    return input.flag('public-key') ? { text: String(one['public_key']) } : { one };
  },
};

export const commands: readonly Command[] = [
  createKeypair,
  listCommand(keypair, { columns: { Name: 'name', Fingerprint: 'fingerprint', Type: 'type' } }),
  showKeypair,
  deleteCommand(keypair, 'default'),
];
