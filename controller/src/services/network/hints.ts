// Tells network agents that the change feed has news for their hosts: those that have a part in what changed, and no others.
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, InSelect, type ReadSession } from '../../db';
import { portGroups, ports, routerInterfaces, routers, securityGroupRules } from '../../db/entities/network';
import type { ChangedObject } from './changes';

/** For how long hints are gathered after some were sent, in milliseconds: many changes at once are one question of an agent. */
const GATHER_MS = 50;

/** What changes of these touch is found by rows; of others (routers, address groups), which change rarely, every agent is told. */
const FOUND = new Set<ChangedObject['kind']>(['network', 'port', 'security_group']);

async function hostsOfGroups(session: ReadSession, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rules = await session.find(securityGroupRules, { where: { remote_group_id: In([...ids]) } });
  const groups = In([...new Set([...ids, ...rules.map((rule) => rule.security_group_id)])]);
  const where = { id: InSelect(portGroups, 'port_id', { security_group_id: groups }) };
  const rows = await session.pick(ports, ['host'], { where, distinct: true });
  return rows.map(({ host }) => host);
}

async function hostsOfNetworks(session: ReadSession, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const where = { network_id: In([...ids]) };
  const bound = await session.pick(ports, ['host'], { where, distinct: true });
  const joined = InSelect(routerInterfaces, 'router_id', where);
  const there = await session.pick(routers, ['host'], {
    where: [{ id: joined }, { gateway_network_id: In([...ids]) }],
  });
  return [...bound, ...there].flatMap(({ host }) => host ?? []);
}

/** The hosts that have a part in what changed, now or before; undefined: all may. */
async function hostsConcerned(session: ReadSession, objects: readonly ChangedObject[]): Promise<string[] | undefined> {
  if (!objects.every(({ kind }) => FOUND.has(kind))) return undefined;
  const groupIds = objects.flatMap(({ kind, id }) => (kind === 'security_group' ? [id] : []));
  const networkIds = [...new Set(objects.flatMap(({ networkId }) => networkId ?? []))];
  const hosts = [
    ...objects.flatMap(({ host }) => host ?? []),
    ...(await hostsOfNetworks(session, networkIds)),
    ...(await hostsOfGroups(session, groupIds)),
  ];
  return [...new Set(hosts)].filter((host) => host !== '');
}

interface News {
  sequence: number;
  readonly objects: ChangedObject[];
  told: Promise<void>;
}

/** What waits to be told, by cloud; absent while nobody tells. */
const waiting = new WeakMap<Cloud, News>();

async function tell(cloud: Cloud, news: News): Promise<void> {
  try {
    while (news.objects.length > 0) {
      const objects = news.objects.splice(0);
      const { sequence } = news;
      const hosts = await cloud.db.read((session) => hostsConcerned(session, objects));
      await cloud.bus.hintChanges(sequence, hosts);
      await pause(GATHER_MS, undefined, { ref: false });
    }
  } catch (error) {
    cloud.log.warn({ error: messageOf(error) }, 'hint not sent');
  } finally {
    waiting.delete(cloud);
  }
}

/** Hints the agents of what was committed: the first at once, what follows closely together. A lost hint costs an agent's next poll. */
export function hintChanges(cloud: Cloud, sequence: number, objects: readonly ChangedObject[]): void {
  const news = waiting.get(cloud);
  if (news) {
    news.sequence = Math.max(news.sequence, sequence);
    news.objects.push(...objects);
    return;
  }
  const begun: News = { sequence, objects: [...objects], told: Promise.resolve() };
  waiting.set(cloud, begun);
  begun.told = tell(cloud, begun);
}

/** Resolves when nothing waits to be told; for tests that count statements. */
export const hintsTold = async (cloud: Cloud): Promise<void> => waiting.get(cloud)?.told;
