// The kinds of things commands name: where each is in the APIs.
import type { Resource } from '../resource';

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const network = (noun: string, key: string): Resource => ({
  noun,
  service: 'network',
  path: `/${key.replaceAll('_', '-')}s`,
  key,
  keys: `${key}s`,
});
const identity = (noun: string): Resource => ({
  noun,
  service: 'identity',
  path: `/${noun}s`,
  key: noun,
  keys: `${noun}s`,
});

export const server: Resource = {
  noun: 'server',
  service: 'compute',
  path: '/servers',
  key: 'server',
  keys: 'servers',
  // The API takes a regular expression here.
  byName: (name) => ({ name: `^${escaped(name)}$` }),
};
export const flavor: Resource = {
  noun: 'flavor',
  service: 'compute',
  path: '/flavors',
  key: 'flavor',
  keys: 'flavors',
  byName: () => ({}),
};
export const image: Resource = { noun: 'image', service: 'image', path: '/images', keys: 'images' };
export const net = network('network', 'network');
export const subnet = network('subnet', 'subnet');
export const port = network('port', 'port');
export const router = network('router', 'router');
export const securityGroup = network('security group', 'security_group');
export const securityGroupRule = network('security group rule', 'security_group_rule');
export const floatingIp: Resource = {
  ...network('floating ip', 'floatingip'),
  nameField: 'floating_ip_address',
};
export const project = identity('project');
export const user = identity('user');
export const role = identity('role');
