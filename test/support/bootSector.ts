// A disk with a boot sector that greets on the first serial port and echoes what comes in; '!' makes it reset the machine,
// '#' makes it write a sector to the second disk.

const COM1_DATA = 0x3f8;
const COM1_LINE_STATUS = 0x3fd;
const KEYBOARD_CONTROLLER = 0x64;
const PULSE_RESET = 0xfe;
const LOAD_ADDRESS = 0x7c00;

const word = (value: number): number[] => [value & 0xff, value >> 8];

/** A raw disk of 1 MiB for a PC with a BIOS. */
export function serialEchoBootSector(greeting: string): Buffer {
  const code = (message: number): number[] => [
    ...[0xfc, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0], // cld; xor ax, ax; mov ds, ax; mov es, ax
    ...[0xba, ...word(COM1_DATA)], // mov dx, COM1
    ...[0xbe, ...word(LOAD_ADDRESS + message)], // mov si, message
    ...[0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8], // next: lodsb; test al, al; jz echo; out dx, al; jmp next
    ...[0xba, ...word(COM1_LINE_STATUS)], // echo: mov dx, line status
    ...[0xec, 0xa8, 0x01, 0x74, 0xfb], // wait: in al, dx; test al, 1; jz wait
    ...[0xba, ...word(COM1_DATA), 0xec], // mov dx, COM1; in al, dx
    ...[0x3c, 0x21, 0x74, 0x07], // cmp al, '!'; jz reset
    ...[0x3c, 0x23, 0x74, 0x09], // cmp al, '#'; jz write
    ...[0xee, 0xeb, 0xe9], // out dx, al; jmp echo
    ...[0xb0, PULSE_RESET, 0xe6, KEYBOARD_CONTROLLER, 0xeb, 0xfe], // reset: mov al, pulse; out controller, al; hang
    ...[0xb8, 0x01, 0x03], // write: mov ax, write one sector
    ...[0xbb, ...word(LOAD_ADDRESS)], // mov bx, this sector
    ...[0xb9, 0x01, 0x00, 0xba, 0x81, 0x00], // mov cx, first sector; mov dx, second disk
    ...[0xcd, 0x13, 0xeb, 0xd3], // int disk; jmp echo
  ];
  const disk = Buffer.alloc(1 << 20);
  const length = code(0).length;
  disk.set(code(length));
  disk.write(`${greeting}\r\n\0`, length, 'latin1');
  disk.set([0x55, 0xaa], 510);
  return disk;
}

/** A raw disk of 1 MiB whose guest does nothing and costs nothing: it halts with interrupts off. */
export function haltBootSector(): Buffer {
  const disk = Buffer.alloc(1 << 20);
  disk.set([0xfa, 0xf4]); // cli; hlt
  disk.set([0x55, 0xaa], 510);
  return disk;
}
