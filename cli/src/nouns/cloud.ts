// cumulet token, catalog, versions and extension: what the cloud is, and the door to it.
import type { CatalogEntry } from '../api';
import { flag, text, type Command, type Row } from '../command';
import { CliError } from '../errors';

import { didYouMean } from '../suggest';

const tokens: readonly Command[] = [
  {
    name: 'token issue',
    summary: 'Get a token',
    example: '-f value -c id',
    async run({ api }) {
      const { id, expires_at: expires, user, project, domain } = await api.token();
      const scope = project ? { project_id: project.id } : domain ? { domain_id: domain.id } : {};
      return { one: { id, expires, user_id: user.id, ...scope } };
    },
  },
  {
    name: 'token revoke',
    summary: 'Make a token worthless',
    example: 'TOKEN',
    args: ['token'],
    async run({ api, input }) {
      const headers = { 'X-Subject-Token': input.arg(0) };
      await api.json('identity', 'DELETE', '/auth/tokens', undefined, { headers });
      return undefined;
    },
  },
];

const endpoints = (entry: Row): string =>
  (entry as CatalogEntry).endpoints
    .map(({ interface: kind, region, url }) => `${region ?? ''} ${kind}: ${url}`)
    .join(', ');

const catalogs: readonly Command[] = [
  {
    name: 'catalog list',
    summary: 'List the services and where they are',
    example: '-f json',
    async run({ api }) {
      const { catalog } = await api.token();
      return { list: { columns: { Name: 'name', Type: 'type', Endpoints: endpoints }, rows: catalog } };
    },
  },
  {
    name: 'catalog show',
    summary: 'Show one service and where it is',
    example: 'compute',
    args: ['service'],
    async run({ api, input }) {
      const wanted = input.arg(0);
      const { catalog } = await api.token();
      const entry = catalog.find(({ name, type, id }) => [name, type, id].includes(wanted));
      const names = catalog.flatMap(({ name, type }) => [type, name ?? '']);
      if (!entry) throw new CliError(`the catalog has no service "${wanted}"${didYouMean(wanted, names)}`);
      return { one: { id: entry['id'], name: entry.name, type: entry.type, endpoints: entry.endpoints } };
    },
  },
];

interface Version extends Row {
  readonly id: string;
  readonly status: string;
  readonly links: readonly { readonly rel: string; readonly href: string }[];
}

const versions: Command = {
  name: 'versions show',
  summary: 'Show which versions the services speak',
  example: '--service compute',
  options: { service: text('only this service', 'TYPE'), status: text('only versions of this status', 'STATUS') },
  async run({ api, input }) {
    const { catalog } = await api.token();
    const [service, status] = [input.text('service'), input.text('status')?.toUpperCase()];
    const asked = catalog.filter(({ type }) => service === undefined || type === service);
    if (service !== undefined && asked.length === 0)
      throw new CliError(
        `the catalog has no service "${service}"${didYouMean(
          service,
          catalog.map(({ type }) => type),
        )}`,
      );
    const rows = await Promise.all(
      asked.map(async ({ type, endpoints: places }) => {
        const place = places.find((each) => each.interface === 'public');
        if (!place) return [];
        const root = place.url.replace(/\/v\d[\d.]*\/?$/, '').replace(/\/?$/, '/');
        const { versions: found } = (await api.open(root)) as { versions: Version[] | { values: Version[] } };
        return (Array.isArray(found) ? found : found.values).map((version) => ({
          ...version,
          region: place.region,
          type,
          // Placement's link is relative, and its own word for the newest version is another one.
          url: new URL(version.links.find(({ rel }) => rel === 'self')?.href ?? '', root).href,
          version: version['version'] ?? version['max_version'],
        }));
      }),
    );
    const columns = {
      'Region Name': 'region',
      'Service Type': 'type',
      Version: 'id',
      Status: 'status',
      Endpoint: 'url',
      'Min Microversion': 'min_version',
      'Max Microversion': 'version',
    };
    const shown = rows.flat().filter((row) => status === undefined || row.status.toUpperCase() === status);
    return { list: { columns, rows: shown } };
  },
};

const extensions: readonly Command[] = [
  {
    name: 'extension list',
    summary: 'List what the network service can do beyond its core',
    example: '--network',
    options: { network: flag('of the network service (there are no others)'), long: flag('more columns') },
    async run({ api, input }) {
      const rows = await api.list('network', '/extensions', 'extensions');
      const columns = { Name: 'name', Alias: 'alias', Description: 'description' };
      return { list: { columns: input.flag('long') ? { ...columns, Updated: 'updated' } : columns, rows } };
    },
  },
  {
    name: 'extension show',
    summary: 'Show one of them',
    example: 'router',
    args: ['alias'],
    run: async ({ api, input }) => ({
      one: (await api.json('network', 'GET', `/extensions/${encodeURIComponent(input.arg(0))}`))['extension'] as Row,
    }),
  },
];

export const commands: readonly Command[] = [...tokens, ...catalogs, versions, ...extensions];
