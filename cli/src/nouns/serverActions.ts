// cumulet server start, stop, reboot, pause, ..., add, remove, event, image create.
import { pairs, said, sets, str } from '../fields';
import { flag, text, type Command, type Context, type Options, type Row } from '../command';
import { CliError, HttpError } from '../errors';
import { paging } from '../noun';
import { each, find, get, idFor, idOf } from '../resource';
import { waitForImage, waitForServer } from '../wait';
import { floatingIp, image, net, port, securityGroup, server } from './resources';

const wait = flag('wait until it is done');
const act = (api: Context['api'], id: string, body: Row): Promise<Row> =>
  api.json('compute', 'POST', `/servers/${id}/action`, body);

interface Action {
  readonly verb: string;
  readonly summary: string;
  /** Name of the action in the API, and what its options say. */
  readonly action: string;
  readonly options?: Options;
  readonly fixed?: Row;
  /** The state it ends in; undefined where there is nothing to wait for. */
  readonly state?: string;
}

const ACTIONS: readonly Action[] = [
  { verb: 'start', summary: 'Start servers', action: 'os-start', state: 'ACTIVE' },
  { verb: 'stop', summary: 'Shut servers down', action: 'os-stop', state: 'SHUTOFF' },
  { verb: 'pause', summary: 'Freeze servers in memory', action: 'pause', state: 'PAUSED' },
  { verb: 'unpause', summary: 'Let frozen servers go on', action: 'unpause', state: 'ACTIVE' },
  { verb: 'suspend', summary: 'Put servers to sleep', action: 'suspend', state: 'SUSPENDED' },
  { verb: 'resume', summary: 'Wake suspended servers', action: 'resume', state: 'ACTIVE' },
  {
    verb: 'lock',
    summary: 'Protect servers from changes',
    action: 'lock',
    options: { reason: str('locked_reason', 'why') },
  },
  { verb: 'unlock', summary: 'Allow changes again', action: 'unlock' },
  {
    verb: 'reboot',
    summary: 'Restart servers',
    action: 'reboot',
    fixed: { type: 'SOFT' },
    options: {
      soft: sets({ type: 'SOFT' }, 'ask the system (unless said)'),
      hard: sets({ type: 'HARD' }, 'without asking the system'),
    },
    state: 'ACTIVE',
  },
];

const actions = ACTIONS.map(({ verb, summary, action, options, fixed, state }): Command => ({
  name: `server ${verb}`,
  summary,
  example: 'hello',
  args: ['server...'],
  options: { ...options, ...(state === undefined ? {} : { wait }) },
  async run(context) {
    const { api, input } = context;
    const body = { ...fixed, ...(await said(context, options)) };
    return each(input.args, async (name) => {
      const id = await idFor(api, server, name);
      await act(api, id, { [action]: Object.keys(body).length > 0 ? body : null });
      if (state !== undefined && input.flag('wait')) await waitForServer(context, id, state);
    });
  },
}));

const createImage: Command = {
  name: 'server image create',
  summary: "Make an image of a server's disk",
  example: '--name hello-1 --wait hello',
  args: ['server'],
  options: {
    name: text("its name; the server's unless said", 'NAME'),
    property: pairs('metadata', 'a property of the image'),
    wait,
  },
  async run(context) {
    const { api, input } = context;
    const id = await idFor(api, server, input.arg(0));
    const { property } = this.options ?? {};
    const body = await said(context, property ? { property } : {});
    const { image_id } = await act(api, id, { createImage: { name: input.text('name') ?? input.arg(0), ...body } });
    const made = String(image_id);
    return { one: input.flag('wait') ? await waitForImage(context, made) : await get(api, image, made) };
  },
};

/** Ports of a server. */
const portsOf = (api: Context['api'], id: string): Promise<Row[]> =>
  api.list('network', '/ports', 'ports', { device_id: id });

const interfaces = (id: string): string => `/servers/${id}/os-interface`;

interface Attachment {
  readonly words: string;
  readonly arg: string;
  readonly example: string;
  readonly add: string;
  readonly remove: string;
  readonly options?: Options;
  /** Does it. @param id - of the server */
  readonly change: (context: Context, verb: 'add' | 'remove', id: string) => Promise<void>;
}

/** @throws CliError when no port of the server fits */
async function detach({ api, input }: Context, id: string, fits: (port: Row) => boolean): Promise<void> {
  const found = (await portsOf(api, id)).filter(fits);
  if (found.length === 0) throw new CliError(`server "${input.arg(0)}" has no such port: "${input.arg(1)}"`);
  for (const one of found) await api.json('compute', 'DELETE', `${interfaces(id)}/${idOf(port, one)}`);
}

const attach = async ({ api }: Context, id: string, interfaceAttachment: Row): Promise<void> =>
  void (await api.json('compute', 'POST', interfaces(id), { interfaceAttachment }));

const holds =
  (address: string) =>
  (one: Row): boolean =>
    (one['fixed_ips'] as { ip_address: string }[]).some(({ ip_address }) => ip_address === address);

/** Gives the address to the first port that can be reached from outside. */
async function addFloatingIp({ api, input }: Context, id: string): Promise<void> {
  const floating = idOf(floatingIp, await find(api, floatingIp, input.arg(1)));
  const fixed = input.text('fixed-ip-address');
  const ports = (await portsOf(api, id)).filter((one) => fixed === undefined || holds(fixed)(one));
  if (ports.length === 0)
    throw new CliError(
      `server "${input.arg(0)}" has no port${fixed === undefined ? ': it was created without a network' : ` with ${fixed}`}`,
    );
  let refusal: HttpError | undefined;
  for (const one of ports) {
    const body = { port_id: idOf(port, one), ...(fixed === undefined ? {} : { fixed_ip_address: fixed }) };
    try {
      await api.json('network', 'PUT', `/floatingips/${floating}`, { floatingip: body });
      return;
    } catch (error) {
      // 404: no router leads from this port to the external network; another port may have one.
      if (!(error instanceof HttpError) || error.status !== 404) throw error;
      refusal = error;
    }
  }
  if (refusal) throw refusal;
}

const ATTACHMENTS: readonly Attachment[] = [
  {
    words: 'floating ip',
    arg: 'address',
    example: '172.24.4.10',
    add: 'Give a floating IP to a server',
    remove: 'Take a floating IP from a server',
    options: { 'fixed-ip-address': text('address of the server it leads to', 'ADDRESS') },
    async change(context, verb, id) {
      const { api, input } = context;
      if (verb === 'add') return addFloatingIp(context, id);
      const found = await find(api, floatingIp, input.arg(1));
      if (!(await portsOf(api, id)).some((one) => one['id'] === found['port_id']))
        throw new CliError(`${input.arg(1)} does not belong to server "${input.arg(0)}"`);
      await api.json('network', 'PUT', `/floatingips/${idOf(floatingIp, found)}`, { floatingip: { port_id: null } });
    },
  },
  {
    words: 'security group',
    arg: 'group',
    example: 'web',
    add: 'Put a server into a security group',
    remove: 'Take a server out of a security group',
    async change({ api, input }, verb, id) {
      const name = await idFor(api, securityGroup, input.arg(1));
      await act(api, id, { [`${verb}SecurityGroup`]: { name } });
    },
  },
  {
    words: 'network',
    arg: 'network',
    example: 'demo',
    add: 'Connect a server to a network',
    remove: 'Disconnect a server from a network',
    async change(context, verb, id) {
      const net_id = await idFor(context.api, net, context.input.arg(1));
      if (verb === 'add') return attach(context, id, { net_id });
      return detach(context, id, (one) => one['network_id'] === net_id);
    },
  },
  {
    words: 'port',
    arg: 'port',
    example: 'eth1',
    add: 'Plug a port into a server',
    remove: 'Pull a port out of a server',
    async change(context, verb, id) {
      const port_id = await idFor(context.api, port, context.input.arg(1));
      if (verb === 'add') return attach(context, id, { port_id });
      return detach(context, id, (one) => one['id'] === port_id);
    },
  },
  {
    words: 'fixed ip',
    arg: 'network-or-address',
    example: 'demo',
    add: 'Give a server one more address of a network, on a port of its own',
    remove: 'Take an address from a server, with the port that has no other',
    options: { 'fixed-ip-address': text('the address (add)', 'ADDRESS') },
    async change(context, verb, id) {
      const { api, input } = context;
      if (verb === 'add') {
        const wanted = input.text('fixed-ip-address');
        const fixed_ips = wanted === undefined ? {} : { fixed_ips: [{ ip_address: wanted }] };
        return attach(context, id, { net_id: await idFor(api, net, input.arg(1)), ...fixed_ips });
      }
      const address = input.arg(1);
      const found = (await portsOf(api, id)).find(holds(address));
      const rest = ((found?.['fixed_ips'] ?? []) as Row[]).filter(({ ip_address }) => ip_address !== address);
      if (found === undefined || rest.length === 0) return detach(context, id, holds(address));
      await api.json('network', 'PUT', `/ports/${idOf(port, found)}`, { port: { fixed_ips: rest } });
    },
  },
];

const attachments = ATTACHMENTS.flatMap(({ words, arg, example, add, remove, options, change }) =>
  (['add', 'remove'] as const).map((verb): Command => ({
    name: `server ${verb} ${words}`,
    summary: verb === 'add' ? add : remove,
    example: `hello ${verb === 'remove' && words === 'fixed ip' ? '10.0.0.7' : example}`,
    args: ['server', arg],
    ...(options && verb === 'add' ? { options } : {}),
    async run(context) {
      await change(context, verb, await idFor(context.api, server, context.input.arg(0)));
      return undefined;
    },
  })),
);

const events = (id: string): string => `/servers/${id}/os-instance-actions`;

const eventCommands: readonly Command[] = [
  {
    name: 'server event list',
    summary: 'List what was done to a server',
    example: 'hello',
    args: ['server'],
    options: {
      long: flag('more columns'),
      'changes-since': str('changes-since', 'only what changed since', 'TIME'),
      'changes-before': str('changes-before', 'only what changed before', 'TIME'),
      ...paging,
    },
    async run(context) {
      const { api, input } = context;
      const id = await idFor(api, server, input.arg(0));
      const rows = await api.list('compute', events(id), 'instanceActions', await said(context, this.options));
      const columns = {
        'Request ID': 'request_id',
        'Server ID': 'instance_uuid',
        Action: 'action',
        'Start Time': 'start_time',
      };
      const long = { Message: 'message', 'Project ID': 'project_id', 'User ID': 'user_id' };
      return { list: { columns: input.flag('long') ? { ...columns, ...long } : columns, rows } };
    },
  },
  {
    name: 'server event show',
    summary: 'Show one thing that was done to a server, with its steps',
    example: 'hello req-0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e',
    args: ['server', 'request-id'],
    async run({ api, input }) {
      const id = await idFor(api, server, input.arg(0));
      const path = `${events(id)}/${encodeURIComponent(input.arg(1))}`;
      return { one: (await api.json('compute', 'GET', path))['instanceAction'] as Row };
    },
  },
];

export const commands: readonly Command[] = [...actions, ...attachments, ...eventCommands, createImage];
