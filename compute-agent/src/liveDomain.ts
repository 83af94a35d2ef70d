// What the XML of a running domain tells: the mark it was started with, the interfaces that it has by now, where its screen is.
import { XMLParser } from 'fast-xml-parser';
import { parseMark, type Mark } from './domainMark';
import type { LiveInterface } from './interfacePlan';

export interface LiveDomain {
  readonly mark: Mark | undefined;
  readonly interfaces: readonly LiveInterface[];
  /** The unix socket of its VNC server; absent while it is off. */
  readonly vncSocket: string | undefined;
}

interface ParsedInterface {
  readonly target?: { readonly dev?: string };
  readonly alias?: { readonly name?: string };
}
interface ParsedDevices {
  readonly interface?: ParsedInterface[];
  readonly graphics?: { readonly type?: string; readonly socket?: string };
}
interface ParsedDomain {
  readonly domain?: { readonly devices?: ParsedDevices | string };
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  isArray: (_name, path) => path === 'domain.devices.interface',
});

export function parseLiveDomain(xml: string): LiveDomain {
  const { domain } = parser.parse(xml) as ParsedDomain;
  const devices = typeof domain?.devices === 'object' ? domain.devices : {};
  const interfaces = (devices.interface ?? []).map(({ target, alias }) => ({
    device: target?.dev ?? '',
    alias: alias?.name ?? '',
  }));
  return { mark: parseMark(xml), interfaces, vncSocket: devices.graphics?.socket };
}
