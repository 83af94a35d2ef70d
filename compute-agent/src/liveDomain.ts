// What the XML of a running domain tells: the mark it was started with, and the interfaces that it has by now.
import { XMLParser } from 'fast-xml-parser';
import { parseMark, type Mark } from './domainMark';
import type { LiveInterface } from './interfacePlan';

export interface LiveDomain {
  readonly mark: Mark | undefined;
  readonly interfaces: readonly LiveInterface[];
}

interface ParsedInterface {
  readonly target?: { readonly dev?: string };
  readonly alias?: { readonly name?: string };
}
interface ParsedDomain {
  readonly domain?: { readonly devices?: { readonly interface?: ParsedInterface[] } | string };
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
  return { mark: parseMark(xml), interfaces };
}
