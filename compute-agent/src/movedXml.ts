// The XML of a running domain as it must be on another host: the same guest, with the files of that host. Pure.
import { escapeXml } from './xml';

/** Where the files of the server are on the host that it goes to. */
export interface MovedFiles {
  readonly disk: string;
  /** The image that the disk stands on. */
  readonly backing: string | undefined;
  readonly configDrive: string | null;
  readonly consoleLog: string;
}

const DISK = /<disk [^]*?<\/disk>/g;
const SOURCE = /(<source file=)(?:'[^']*'|"[^"]*")/g;
const LOG = /(<log file=)(?:'[^']*'|"[^"]*")/g;
const target = (disk: string): string | undefined => /<target dev=['"](\w+)['"]/.exec(disk)?.[1];

/** Gives each file of a piece of XML, in its order, another name. */
function renamed(xml: string, pattern: RegExp, names: readonly (string | undefined)[]): string {
  let next = 0;
  return xml.replace(pattern, (whole, element: string) => {
    const name = names[next++];
    return name === undefined ? whole : `${element}'${escapeXml(name)}'`;
  });
}

/** Devices, addresses and metadata stay as they are: the guest must not see that it moved. */
export function movedXml(xml: string, { disk, backing, configDrive, consoleLog }: MovedFiles): string {
  const files: Readonly<Record<string, readonly (string | undefined)[]>> = {
    vda: [disk, backing],
    vdz: [configDrive ?? undefined],
  };
  const disks = xml.replace(DISK, (one) => renamed(one, SOURCE, files[target(one) ?? ''] ?? []));
  // The serial port and the console that is an alias of it name the same file.
  return disks.replace(LOG, (_whole, element: string) => `${element}'${escapeXml(consoleLog)}'`);
}

/** What runs the guest, and the processor that it was given. */
export function machineOf(xml: string): { readonly virtType: string | undefined; readonly cpu: string | undefined } {
  return {
    virtType: /<domain [^>]*?type=['"](\w+)['"]/.exec(xml)?.[1],
    cpu: /<cpu [^]*?<\/cpu>|<cpu [^>]*\/>/.exec(xml)?.[0],
  };
}
