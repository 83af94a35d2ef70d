// The mark that every domain of ours carries in its metadata: whose it is and which desired state it was made from.
import { XMLParser } from 'fast-xml-parser';
import { escapeXml } from './xml';

export interface Mark {
  readonly serverId: string;
  readonly projectId: string;
  /** The generation of the command that wrote this definition. */
  readonly generation: number;
  /** A digest of everything else in the definition. */
  readonly definition: string;
  /** The last reboot that this definition stands for; null when there never was one. */
  readonly reboot: string | null;
}

const NAMESPACE = 'urn:cumulet:server:1';

export function markElement(mark: Mark): string {
  const attributes = {
    id: mark.serverId,
    project: mark.projectId,
    generation: String(mark.generation),
    definition: mark.definition,
    ...(mark.reboot === null ? {} : { reboot: mark.reboot }),
  };
  const text = Object.entries(attributes).map(([name, value]) => ` ${name}="${escapeXml(value)}"`);
  return `<cumulet:server xmlns:cumulet="${NAMESPACE}"${text.join('')}/>`;
}

interface ParsedDomain {
  domain?: { metadata?: { 'cumulet:server'?: Record<string, string | undefined> } | string };
}

const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false });

/** The mark in a domain's XML; undefined when the domain is not ours. */
export function parseMark(xml: string): Mark | undefined {
  const { domain } = parser.parse(xml) as ParsedDomain;
  const element = typeof domain?.metadata === 'object' ? domain.metadata['cumulet:server'] : undefined;
  if (element?.['xmlns:cumulet'] !== NAMESPACE) return undefined;
  const { id = '', project = '', generation = '', definition = '', reboot = null } = element;
  return { serverId: id, projectId: project, generation: Number(generation), definition, reboot };
}
