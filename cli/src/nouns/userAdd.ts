// cumulet user add: a new user with all they need, and the entry of clouds.yaml to hand over.
import { randomBytes } from 'node:crypto';
import { flag, text, type Command, type Options } from '../command';
import { CliError } from '../errors';
import { int, said } from '../fields';
import { ensureNewcomer } from '../newcomer';
import { newcomerRange, USUAL } from '../newcomerRange';
import { find, idOf } from '../resource';
import { handOver, readAccess } from './cloudExport';
import { net } from './resources';

const quotas: Options = {
  cores: int('cores', 'how many vCPUs the project may have; as every project unless said'),
  ram: int('ram', 'how much memory it may have', 'MIB'),
  instances: int('instances', 'how many servers it may have'),
};

const add: Command = {
  name: 'user add',
  summary: 'Make a user with a project, network and router, and show the clouds.yaml to hand over (administrators)',
  example: '--cores 8 --ram 16384 --directory anna anna',
  args: ['name'],
  options: {
    ...quotas,
    public: text('the external network (public)', 'NETWORK'),
    'subnet-range': text(
      `addresses of the network (${USUAL}.0/24, or the next that nothing reached from here meets)`,
      'CIDR',
    ),
    'new-password': flag('set a new password when the user is there already'),
    directory: text('write clouds.yaml and the file of the CA into this directory', 'DIRECTORY'),
  },
  async run(context) {
    const { api, input } = context;
    const name = input.arg(0);
    if (!/^[A-Za-z0-9][\w.-]*$/.test(name))
      throw new CliError(`a name has letters, digits, dots and dashes, not "${name}"`, 2);
    const [quota, { endpoint, ca }, outside] = await Promise.all([
      said(context, quotas),
      readAccess(context),
      find(api, net, input.text('public') ?? 'public', { 'router:external': true }),
    ]);
    const given = input.text('subnet-range');
    const { range, reason } = given === undefined ? await newcomerRange(context, outside) : { range: given };
    const password = randomBytes(18).toString('base64url');
    const { made, passwordSet } = await ensureNewcomer(context, {
      name,
      password,
      renew: input.flag('new-password'),
      quota,
      outside: idOf(net, outside),
      range,
    });
    const moved =
      reason !== undefined && made.includes(`subnet ${name}`) ? `\n# The subnet is ${range}, as ${reason}.` : '';
    const done = `# ${made.length > 0 ? `Made: ${made.join(', ')}` : 'Everything was there'}.${moved}`;
    const unknown = `# The password of ${name} is as before, and not known here: --new-password sets one.`;
    // A file that was handed over has the password, which must not be lost.
    if (!passwordSet && input.text('directory') !== undefined)
      return { text: `${done}\n${unknown}\n# Nothing was written.` };
    const named = { name, domain: 'Default' };
    const login = { user: named, project: named, ...(passwordSet ? { password } : {}) };
    // A cloud of this machine only is reached from here as the administrator reaches it.
    const here = (api.settings.auth_url ?? '').replace(/(\/v3)?\/*$/, '');
    const access = endpoint === null ? { endpoint: here, ca: null } : { endpoint, ca };
    const entry = await handOver(context, login, access, 'cumulet');
    const local = endpoint === null ? ['# The cloud listens on its own machine only.'] : [];
    return { text: [done, ...(passwordSet ? [] : [unknown]), ...local, entry].join('\n') };
  },
};

export const commands: readonly Command[] = [add];
