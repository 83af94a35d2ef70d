// The service catalog of a token: enabled services and endpoints, with URLs on the address at which the caller reached us.
import type { Database } from '../../db';
import {
  catalogEndpoints,
  catalogServices,
  type CatalogEndpoint,
  type CatalogService,
} from '../../db/entities/identity';

export interface CatalogEntry {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly endpoints: readonly {
    readonly id: string;
    readonly interface: string;
    readonly region: string | null;
    readonly region_id: string | null;
    readonly url: string;
  }[];
}

/** The whole URL of an endpoint: a path is put behind the origin that the caller used. */
export function absoluteUrl(url: string, origin: string): string {
  return url.startsWith('/') ? origin + url : url;
}

/** Replaces $(project_id)s and the like. Undefined when the URL needs a project and there is none. */
function substitute(url: string, values: Readonly<Record<string, string | null>>): string | undefined {
  let missing = false;
  const text = url.replace(/[$%]\((\w+)\)s/g, (whole, key: string) => {
    const value = values[key];
    if (value === null) missing = true;
    return value ?? whole;
  });
  return missing ? undefined : text;
}

export interface CatalogRows {
  readonly services: readonly CatalogService[];
  readonly endpoints: readonly CatalogEndpoint[];
}

export interface CatalogCaller {
  readonly projectId: string | null;
  readonly userId: string;
}

/** Builds the catalog for a caller. */
export function buildCatalog(rows: CatalogRows, origin: string, caller: CatalogCaller): CatalogEntry[] {
  const values = { project_id: caller.projectId, tenant_id: caller.projectId, user_id: caller.userId };
  return rows.services
    .filter((service) => service.enabled)
    .map((service) => ({
      id: service.id,
      type: service.type,
      name: service.name ?? '',
      endpoints: rows.endpoints.flatMap((endpoint) => {
        if (!endpoint.enabled || endpoint.service_id !== service.id) return [];
        const url = substitute(endpoint.url, values);
        if (url === undefined) return [];
        const { id, region_id } = endpoint;
        return [{ id, interface: endpoint.interface, region: region_id, region_id, url: absoluteUrl(url, origin) }];
      }),
    }));
}

export interface Catalog {
  rows(): Promise<CatalogRows>;
  /** The catalog as JSON text. It is asked for with every token, and is the same for everybody whose URLs name no project. */
  json(origin: string, caller: CatalogCaller): Promise<string>;
  invalidate(): void;
}

/** Addresses at which callers reach us; more than these are somebody making up Host headers. */
const MAX_ORIGINS = 64;

/** The catalog's rows, kept until something changes. */
export function createCatalog(db: Database): Catalog {
  let known: CatalogRows | undefined;
  let generation = 0;
  let texts = new Map<string, string>();

  async function rows(): Promise<CatalogRows> {
    if (known) return known;
    const before = generation;
    const found = await db.read(async (session) => ({
      services: await session.find(catalogServices, { order: { type: 'ASC', id: 'ASC' } }),
      endpoints: await session.find(catalogEndpoints, { order: { interface: 'ASC', id: 'ASC' } }),
    }));
    if (before === generation) known = found;
    return found;
  }

  return {
    rows,
    async json(origin, caller) {
      const ready = texts.get(origin);
      if (ready !== undefined) return ready;
      const before = generation;
      const found = await rows();
      const text = JSON.stringify(buildCatalog(found, origin, caller));
      const personal = found.endpoints.some((endpoint) => endpoint.url.includes('('));
      if (!personal && before === generation) {
        if (texts.size >= MAX_ORIGINS) texts.clear();
        texts.set(origin, text);
      }
      return text;
    },
    invalidate() {
      generation++;
      known = undefined;
      texts = new Map();
    },
  };
}
