// Between API and agent: every rule that the API accepts is one that the network agent can turn into the kernel's.
import { securityGroupRules } from '../../controller/src/db/entities/network';
import { protocolNumbers } from '../../controller/src/services/network/protocols';
import { rulesForAgent } from '../../controller/src/services/network/ruleStates';
import { groupRule } from '../../network-agent/src/firewall/securityGroups';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, group } = networkCalls(() => cloud);

beforeAll(async () => {
  cloud = await startTestCloud();
  await call('PUT', '/quotas/demo-project', { quota: { security_group: -1, security_group_rule: -1 } }, 'admin');
});
afterAll(() => cloud.stop());

const PORTS = [
  {},
  { port_range_min: 1, port_range_max: 65_535 },
  { port_range_min: 8 },
  { port_range_min: 8, port_range_max: 0 },
  { port_range_min: 255, port_range_max: 255 },
];
const REMOTES = [
  {},
  { remote_ip_prefix: '192.0.2.7/24' },
  { remote_ip_prefix: 'fd00::9/64' },
  { remote_ip_prefix: '0.0.0.0/0' },
  { remote_ip_prefix: '::/0' },
];

test.each([...Object.keys(protocolNumbers), 'any', '0', '41', '47', '58', '112', '255'])(
  'rules of protocol %s compile on the host if the API takes them',
  async (protocol) => {
    const made = await group();
    let taken = 0;
    for (const ethertype of ['IPv4', 'IPv6'])
      for (const ports of PORTS)
        for (const [at, remote] of REMOTES.entries()) {
          const direction = at % 2 === 0 ? 'ingress' : 'egress';
          const rule = { security_group_id: made.id, direction, ethertype, protocol, ...ports, ...remote };
          const answer = await call('POST', '/security-group-rules', { security_group_rule: rule });
          expect([201, 400, 409]).toContain(answer.status);
          if (answer.status === 201) taken++;
        }
    expect(taken).toBeGreaterThan(0);
    const rows = await cloud.cloud.db.read((session) =>
      session.find(securityGroupRules, { where: { security_group_id: made.id } }),
    );
    for (const state of rulesForAgent(rows, []))
      expect(groupRule(state, state.ethertype === 'IPv4' ? 4 : 6)).toMatch(/-j ACCEPT$|-g cumulet-ok$/);
  },
);
