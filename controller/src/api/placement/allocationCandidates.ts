// Handler of /allocation_candidates: where something would fit now, in the forms that came with microversions.
import { candidates, sumOf } from '../../services/placement/candidates';
import { listProviders, type Provider } from '../../services/placement/providers';
import type { Handler } from '../route';
import { answer } from './answer';
import { parseCandidates } from './candidateQuery';
import { requireNames } from './query';

type Amounts = Readonly<Record<string, number>>;

/** Before 1.12 providers were a list. From 1.34 on it is said which provider each group got. */
function requestView(minor: number, { host }: Provider, resources: Amounts, suffixes: readonly string[]): object {
  if (minor < 12) return { allocations: [{ resource_provider: { uuid: host.id }, resources }] };
  const mappings = Object.fromEntries(suffixes.map((suffix) => [suffix, [host.id]]));
  return { allocations: { [host.id]: { resources } }, ...(minor >= 34 ? { mappings } : {}) };
}

/** From 1.27 on with all of a provider's resources, before with those that were asked for. */
function summaryView(minor: number, { host, stocks, traits }: Provider, asked: Amounts): object {
  const shown = [...stocks].filter(([name]) => minor >= 27 || Object.hasOwn(asked, name));
  return {
    resources: Object.fromEntries(shown.map(([name, { capacity, used }]) => [name, { capacity, used }])),
    ...(minor >= 17 ? { traits } : {}),
    ...(minor >= 29 ? { parent_provider_uuid: null, root_provider_uuid: host.id } : {}),
  };
}

export const listHandler: Handler = (request, cloud) => {
  const { minor } = request.microversion;
  const asked = parseCandidates(request);
  const { groups, root } = asked;
  return cloud.db.read(async (session) => {
    await requireNames(session, [...groups.values(), { resources: new Map(), ...root }]);
    const found = candidates(await listProviders(session), asked);
    const resources = Object.fromEntries(sumOf(groups.values()));
    return answer(request, cloud, {
      body: {
        allocation_requests: found.map((provider) => requestView(minor, provider, resources, [...groups.keys()])),
        provider_summaries: Object.fromEntries(
          found.map((provider) => [provider.host.id, summaryView(minor, provider, resources)]),
        ),
      },
    });
  });
};
