// Formats that are known only to be refused: QEMU would read files or keys that their headers name.
import type { FormatParser } from './format';

const refused = (name: string, magic: Buffer): FormatParser => ({
  name,
  matches: (source) => source.read(0, magic.length).equals(magic),
  inspect: () => ({ virtualSize: 0, problems: [`format ${name} is not allowed`] }),
});

export const unsupportedFormats: readonly FormatParser[] = [
  refused('qcow', Buffer.from('514649fb00000001', 'hex')),
  refused('qed', Buffer.from('QED\0', 'latin1')),
  refused('luks', Buffer.from('4c554b53babe', 'hex')),
];
