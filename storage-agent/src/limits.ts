// What qemu-img may use at most: a disk or a base that costs more than any honest one ends the command, not the host.

/** Bytes of address space: a disk of 16 TiB is made, grown and copied with half of it. */
const ADDRESS_SPACE = 1_073_741_824;

/** The command that puts limits on the one that follows it. Address space and CPU time end in an error, dumps are not written. */
export const limited = (cpuSeconds: number): readonly string[] => [
  'prlimit',
  `--as=${ADDRESS_SPACE}`,
  `--cpu=${cpuSeconds}`,
  '--core=0',
  '--',
];
