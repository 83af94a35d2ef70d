// cumulet trait and resource class: the names that the placement API has for what hosts are and have.
import { flag, text, type Command } from '../command';
import { deleteCommand, listCommand, showCommand } from '../noun';
import { each } from '../resource';
import { resourceClass } from './resources';

const PATH = '/traits';
const pathOf = (name: string): string => `${PATH}/${encodeURIComponent(name)}`;

const traits: readonly Command[] = [
  {
    name: 'trait list',
    summary: 'List every trait that a host may have',
    example: '--name startswith:CUSTOM_',
    options: {
      name: text('only those of this form: startswith:PREFIX or in:NAME,NAME', 'FORM'),
      associated: flag('only those that a host has'),
    },
    async run({ api, input }) {
      const name = input.text('name');
      const query = new URLSearchParams({
        ...(name === undefined ? {} : { name }),
        ...(input.flag('associated') ? { associated: 'true' } : {}),
      });
      const { traits: found } = await api.json('placement', 'GET', `${PATH}?${query.toString()}`);
      return { list: { columns: { name: 'name' }, rows: (found as string[]).map((one) => ({ name: one })) } };
    },
  },
  {
    name: 'trait show',
    summary: 'Tell whether there is a trait of this name',
    example: 'CUSTOM_FAST',
    args: ['name'],
    async run({ api, input }) {
      await api.json('placement', 'GET', pathOf(input.arg(0)));
      return { one: { name: input.arg(0) } };
    },
  },
  {
    name: 'trait create',
    summary: 'Create a trait; its name begins with CUSTOM_ (administrators)',
    example: 'CUSTOM_FAST',
    args: ['name'],
    async run({ api, input }) {
      await api.json('placement', 'PUT', pathOf(input.arg(0)));
      return undefined;
    },
  },
  {
    name: 'trait delete',
    summary: 'Delete one trait or several (administrators)',
    example: 'CUSTOM_FAST',
    args: ['name...'],
    run: ({ api, input }) => each(input.args, (name) => api.json('placement', 'DELETE', pathOf(name))),
  },
];

const classes: readonly Command[] = [
  listCommand(resourceClass, { columns: { name: 'name' } }),
  showCommand(resourceClass, 'VCPU'),
  {
    name: 'resource class create',
    summary: 'Create a resource class; its name begins with CUSTOM_ (administrators)',
    example: 'CUSTOM_GOLD',
    args: ['name'],
    async run({ api, input }) {
      await api.json('placement', 'POST', resourceClass.path, { name: input.arg(0) });
      return undefined;
    },
  },
  {
    name: 'resource class set',
    summary: 'Create a resource class, unless it is there (administrators)',
    example: 'CUSTOM_GOLD',
    args: ['name'],
    async run({ api, input }) {
      await api.json('placement', 'PUT', `${resourceClass.path}/${encodeURIComponent(input.arg(0))}`);
      return undefined;
    },
  },
  deleteCommand(resourceClass, 'CUSTOM_GOLD'),
];

export const commands: readonly Command[] = [...traits, ...classes];
