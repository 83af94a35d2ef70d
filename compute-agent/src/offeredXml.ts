// The XML of a domain that another host sends: a stolen host could name files and programs of this one. Pure.
import { XMLParser } from 'fast-xml-parser';

type Element = Readonly<Record<string, unknown>>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (_name, _path, _leaf, isAttribute) => !isAttribute,
});

/** What a domain of ours consists of; a device or part of another kind never comes from us. */
const PARTS = new Set([
  ...['name', 'uuid', 'genid', 'title', 'metadata', 'memory', 'currentMemory', 'vcpu', 'resource', 'sysinfo', 'os'],
  ...['features', 'cpu', 'clock', 'on_poweroff', 'on_reboot', 'on_crash', 'pm', 'devices', 'seclabel'],
]);
const OS_PARTS = new Set(['type', 'boot', 'smbios']);
const DEVICES = new Set([
  ...['emulator', 'disk', 'controller', 'interface', 'serial', 'console', 'channel', 'input', 'graphics'],
  ...['audio', 'video', 'memballoon', 'rng'],
]);
const EMULATOR = /^\/usr\/(bin|libexec)\/qemu-(system-\w+|kvm)$/;
/** Attributes and elements that name something on a host. */
const NAMING = new Set([
  'file',
  'dir',
  'path',
  'dev',
  'name',
  'protocol',
  'bridge',
  'network',
  'socket',
  'startupPolicy',
]);

const elements = (of: Element, name: string): Element[] =>
  ((of[name] ?? []) as unknown[]).map((one) =>
    typeof one === 'object' && one !== null ? (one as Element) : { '#text': one },
  );
const textOf = ({ '#text': text }: Element): string => (typeof text === 'string' ? text : '');
const partsOf = (of: Element): string[] => Object.keys(of).filter((key) => !/^[@#?]/.test(key));

/** Everything that a `source`, or a `log`, of a device names. */
function named(of: Element): string[] {
  return Object.entries(of).flatMap(([key, value]): string[] => {
    if (key.startsWith('@') || key === '#text') return [];
    return (value as unknown[]).flatMap((one) => {
      if (typeof one !== 'object' || one === null) return [];
      const element = one as Element;
      const here =
        key === 'source' || key === 'log'
          ? Object.entries(element).flatMap(([name, text]) =>
              name.startsWith('@') && NAMING.has(name.slice(1)) ? [String(text)] : [],
            )
          : [];
      return [...here, ...named(element)];
    });
  });
}

export interface OwnDomain {
  readonly name: string;
  readonly uuid: string;
  /** Files that it may use. */
  readonly files: readonly string[];
}

/** Why the XML is not that of the domain, in words; undefined when it is. */
export function foreignPart(xml: string, { name, uuid, files }: OwnDomain): string | undefined {
  const [domain] = elements(parser.parse(xml) as Element, 'domain');
  if (!domain) return 'it is no domain';
  const [own] = elements(domain, 'name');
  const [id] = elements(domain, 'uuid');
  if (!own || !id || textOf(own) !== name || textOf(id) !== uuid) return 'it is another domain';
  const strange = [
    ...partsOf(domain).filter((part) => !PARTS.has(part)),
    ...elements(domain, 'os')
      .flatMap(partsOf)
      .filter((part) => !OS_PARTS.has(part)),
    ...elements(domain, 'devices')
      .flatMap(partsOf)
      .filter((part) => !DEVICES.has(part)),
  ];
  if (strange.length > 0) return `it has a part that no domain of this cloud has: ${strange.join(', ')}`;
  const devices = elements(domain, 'devices');
  const emulator = devices.flatMap((one) => elements(one, 'emulator')).find((one) => !EMULATOR.test(textOf(one)));
  if (emulator) return 'it is run by a program that is not QEMU';
  const allowed = new Set(files);
  // A terminal's name on the other host means nothing here: libvirt opens one of its own.
  const foreign = devices.flatMap(named).find((one) => !allowed.has(one) && !/^\/dev\/pts\/\d+$/.test(one));
  return foreign === undefined ? undefined : `it names ${foreign}`;
}
