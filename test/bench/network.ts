// The network API: what a create costs, one after the other, and how fast ports are listed.
import { makeNetwork, type RealCloud } from '../support/realCloud';
import { figure, percentile, timed, type Figure } from './figure';
import { load } from './load';

const API = '/network/v2.0';
const CREATES = 50;
/** As many as the yardstick lists. */
const LISTED = 54;

async function create(cloud: RealCloud, noun: string, body: object): Promise<string> {
  const answer = await cloud.call<Record<string, { id: string }>>('POST', `${API}/${noun}s`, {
    [noun.replaceAll('-', '_')]: body,
  });
  return answer[noun.replaceAll('-', '_')]?.id ?? '';
}

/** Median of some creates in turn, which are then deleted. */
async function median(cloud: RealCloud, count: number, path: string, make: (at: number) => Promise<string>) {
  const times: number[] = [];
  const ids: string[] = [];
  for (let at = 0; at < count; at++) times.push(await timed(async () => ids.push(await make(at))));
  for (const id of ids) await cloud.call('DELETE', `${API}/${path}/${id}`);
  return percentile(times, 0.5);
}

const atMost = (name: string, value: number, limit: number): Figure =>
  figure(name, value, 'ms', `<= ${limit} ms`, value <= limit);

export async function benchNetwork(cloud: RealCloud): Promise<Figure[]> {
  const networks = await median(cloud, CREATES, 'networks', (at) =>
    makeNetwork(cloud, `bench-${at}`, `10.79.${at}.0/24`),
  );
  const network = await makeNetwork(cloud, 'bench-ports', '10.80.0.0/20');
  const port = (): Promise<string> => create(cloud, 'port', { network_id: network });
  const portTime = await median(cloud, CREATES, 'ports', port);
  const group = await create(cloud, 'security-group', { name: 'bench' });
  const rules = await median(cloud, CREATES, 'security-group-rules', (at) =>
    create(cloud, 'security-group-rule', {
      security_group_id: group,
      direction: 'ingress',
      protocol: 'tcp',
      port_range_min: 1000 + at,
      port_range_max: 1000 + at,
    }),
  );
  const ports: string[] = [];
  for (let at = 0; at < LISTED; at++) ports.push(await port());
  const { perSecond } = await load({
    url: `${cloud.url}${API}/ports`,
    method: 'GET',
    headers: { 'x-auth-token': cloud.token },
    connections: 8,
    seconds: 5,
  });
  for (const id of ports) await cloud.call('DELETE', `${API}/ports/${id}`);
  await cloud.call('DELETE', `${API}/networks/${network}`);
  await cloud.call('DELETE', `${API}/security-groups/${group}`);
  return [
    atMost('network and subnet create, p50', networks, 20),
    atMost('port create, p50', portTime, 10),
    atMost('security group rule create, p50', rules, 10),
    figure(`GET /ports with ${LISTED} ports, 8 at once`, perSecond, '/s', '>= 500 /s', perSecond >= 500),
  ];
}
