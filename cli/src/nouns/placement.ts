// cumulet aggregate, server group and server explain: what decides where servers run.
import { text, type Columns, type Command, type Row } from '../command';
import { int, list, pairs, ref, said, str, sets, unmarks } from '../fields';
import { createCommand, deleteCommand, listCommand, nounCommands, showCommand } from '../noun';
import { idFor } from '../resource';
import { aggregate, flavor, image, server, serverGroup } from './resources';

const zone = str('availability_zone', 'zone that its hosts shall be in', 'ZONE');
const property = pairs('metadata', 'a property of it');

/** `aggregate add host` and `aggregate remove host`. */
const hostCommand = (verb: 'add' | 'remove'): Command => ({
  name: `aggregate ${verb} host`,
  summary: verb === 'add' ? 'Put a host into an aggregate' : 'Take a host out of an aggregate',
  example: 'fast node-1',
  args: ['aggregate', 'host'],
  async run({ api, input }) {
    const id = await idFor(api, aggregate, input.arg(0));
    const body = { [`${verb}_host`]: { host: input.arg(1) } };
    return { one: (await api.json('compute', 'POST', `/os-aggregates/${id}/action`, body))['aggregate'] as Row };
  },
});

const aggregates: readonly Command[] = [
  ...nounCommands(aggregate, {
    example: 'fast',
    list: {
      columns: { ID: 'id', Name: 'name', 'Availability Zone': 'availability_zone' },
      long: { Properties: 'metadata', Hosts: 'hosts' },
    },
    create: { example: '--zone lab fast', options: { zone, property } },
    set: {
      example: '--property ssd=true fast',
      options: { name: str('name', 'its new name', 'NAME'), zone, property },
    },
    unset: {
      example: '--property ssd fast',
      options: { property: unmarks('metadata', 'a property to take away', 'KEY') },
    },
  }),
  hostCommand('add'),
  hostCommand('remove'),
];

const POLICIES = ['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'];
const groups: readonly Command[] = [
  createCommand(serverGroup, {
    example: '--policy anti-affinity spread',
    fixed: { policy: 'affinity' },
    options: {
      policy: str('policy', 'how its servers stand to each other (affinity)', 'POLICY', { oneOf: POLICIES }),
      'max-per-host': {
        ...int('rules', 'with anti-affinity: how many of them one host may have'),
        put: ([max_server_per_host]) => ({ rules: { max_server_per_host } }),
      },
    },
  }),
  listCommand(serverGroup, {
    columns: { ID: 'id', Name: 'name', Policy: 'policy' },
    long: { Members: 'members', 'Project ID': 'project_id', 'User ID': 'user_id' },
    filters: { 'all-projects': sets({ all_projects: 'True' }, 'of every project (administrators)') },
  }),
  showCommand(serverGroup, 'spread'),
  deleteCommand(serverGroup, 'spread'),
];

const question = {
  flavor: ref('flavor', flavor, 'its size', { required: true }),
  image: ref('image', image, 'image to boot from'),
  'availability-zone': str('availability_zone', 'where it shall run', 'ZONE'),
  'server-group': text('group that it would be in', 'SERVER_GROUP', {
    read: (name, { api }) => idFor(api, serverGroup, name),
    put: ([group]) => ({ hints: { group } }),
  }),
  'same-host': list('same_host', 'a server that it must be with', 'SERVER', {
    read: (name, { api }) => idFor(api, server, name),
    put: (same_host) => ({ hints: { same_host } }),
  }),
  'different-host': list('different_host', 'a server that it must not be with', 'SERVER', {
    read: (name, { api }) => idFor(api, server, name),
    put: (different_host) => ({ hints: { different_host } }),
  }),
};

const explain: Command = {
  name: 'server explain',
  summary: 'Tell where a new server would run and which rule says no on which host; makes nothing',
  example: '--flavor m1.tiny --image tiny',
  options: question,
  async run(context) {
    const answer = await context.api.json('cumulet', 'POST', '/placement', await said(context, question));
    const exit = answer['fits'] === 0 ? 1 : 0;
    const hosts = answer['hosts'] as Row[] | undefined;
    if (!hosts) return { one: { fits: answer['fits'], message: answer['message'] }, exit };
    const columns: Columns = { Host: 'host', Fits: 'fits', Rule: 'filter', Reason: 'reason' };
    return { list: { columns, rows: hosts }, exit };
  },
};

export const commands: readonly Command[] = [...aggregates, ...groups, explain];
