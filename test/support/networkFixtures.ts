// Resources of the network API made over HTTP, for tests: each fails the test when it is not created.
import type { Answer, TestCloud } from './testCloud';

const PREFIX = '/network/v2.0';

/** Calls the network API. */
type NetworkCall = (
  method: string,
  path: string,
  body?: unknown,
  token?: string | null,
  headers?: Record<string, string>,
) => Promise<Answer>;

export function networkCalls(cloud: () => TestCloud) {
  const call: NetworkCall = (method, path, body, token = 'demo', headers = {}) =>
    cloud().call(method, `${PREFIX}${path}`, { token, headers, ...(body === undefined ? {} : { body }) });

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- bodies of the API, looked into by tests
  async function make(path: string, member: string, values: Record<string, unknown>, token = 'demo'): Promise<any> {
    const answer = await call('POST', path, { [member]: values }, token);
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body[member];
  }

  return {
    call,
    make,
    network: (values: Record<string, unknown> = {}, token = 'demo') =>
      make('/networks', 'network', { name: 'net', ...values }, token),
    subnet: (network_id: string, values: Record<string, unknown> = {}, token = 'demo') =>
      make('/subnets', 'subnet', { network_id, cidr: '10.0.0.0/24', ip_version: 4, ...values }, token),
    port: (network_id: string, values: Record<string, unknown> = {}, token = 'demo') =>
      make('/ports', 'port', { network_id, ...values }, token),
    router: (values: Record<string, unknown> = {}, token = 'demo') =>
      make('/routers', 'router', { name: 'router', ...values }, token),
    group: (values: Record<string, unknown> = {}, token = 'demo') =>
      make('/security-groups', 'security_group', { name: 'group', ...values }, token),
    /** An external network with one subnet, made by the administrator. */
    external: async (cidr = '172.24.4.0/24') => {
      const network = await make('/networks', 'network', { name: 'public', 'router:external': true }, 'admin');
      const subnet = await make(
        '/subnets',
        'subnet',
        { network_id: network.id, cidr, ip_version: 4, enable_dhcp: false },
        'admin',
      );
      return { network, subnet };
    },
  };
}
