// What Cumulet offers beyond OpenStack: why a server is as it is, and the audit. Used by the `cumulet` command.
import { NotFoundError } from '../../errors';
import { IsNull, Not } from '../../db';
import { servers } from '../../db/entities/compute';
import { ports } from '../../db/entities/network';
import { audit, type AuditReport } from '../../services/audit/audit';
import { fixFindings } from '../../services/audit/fix';
import { remedyOf } from '../../services/audit/remedy';
import { explainPlacement } from '../../services/compute/explainPlacement';
import { parseZone } from '../../services/compute/placement';
import { timelineOf } from '../../services/timeline';
import { publicError } from '../jsonError';
import { param } from '../query';
import type { ApiService, Handler } from '../route';

const iso = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : new Date(milliseconds).toISOString();

const serverTimeline: Handler = async (request, cloud) => {
  const id = param(request, 'id');
  const server = await cloud.db.read((session) => session.findOne(servers, { id, deleted_at: IsNull() }));
  const target = { project_id: server?.project_id };
  if (!server || !cloud.policy.allows(request.caller, 'cumulet:timeline', target))
    throw new NotFoundError(`Server ${id} could not be found.`);
  const timeline = await timelineOf(cloud, 'server', id);
  const faulty = await cloud.db.read((session) =>
    session.find(ports, { where: { server_id: id, fault: Not(IsNull()) } }),
  );
  return {
    status: 200,
    body: {
      server: {
        id,
        name: server.name,
        vm_state: server.vm_state,
        task_state: server.task_state,
        fault: server.fault?.message ?? null,
      },
      port_faults: faulty.map(({ id: port_id, fault }) => ({ port_id, fault })),
      tasks: timeline.map((task) => ({
        id: task.id,
        kind: task.kind,
        request_id: task.requestId,
        running: task.running,
        step: task.step,
        error: task.error,
        created_at: iso(task.createdAt),
        finished_at: iso(task.finishedAt),
        steps: task.steps.map(({ step, outcome, message, startedAt, milliseconds }) => ({
          step,
          outcome,
          message,
          started_at: iso(startedAt),
          milliseconds,
        })),
      })),
    },
  };
};

const auditView = ({ checked, findings }: AuditReport): Record<string, unknown> => ({
  clean: findings.length === 0,
  checked: { hosts: checked.hosts, servers: checked.servers, host_resources: checked.hostResources },
  findings: findings.map((finding) => ({ ...finding, remedy: remedyOf(finding) })),
});

const auditReport: Handler = async (_request, cloud) => ({ status: 200, body: auditView(await audit(cloud)) });

const auditFix: Handler = async (_request, cloud) => {
  const report = await fixFindings(cloud);
  return { status: 200, body: { ...auditView(report), fixed: report.fixed } };
};

interface PlacementBody {
  readonly flavor: string;
  readonly image?: string;
  readonly availability_zone?: string;
  readonly hints?: Readonly<Record<string, unknown>>;
}

const id = { type: 'string', minLength: 1, maxLength: 255 };
const placementSchema = {
  type: 'object',
  properties: { flavor: id, image: id, availability_zone: id, hints: { type: 'object' } },
  required: ['flavor'],
  additionalProperties: false,
};

/** Names of hosts are for administrators; others learn how many hosts gave which reason. */
const placement: Handler = async (request, cloud) => {
  const body = request.body as PlacementBody;
  const question = {
    flavorId: body.flavor,
    imageId: body.image ?? null,
    placement: parseZone(body.availability_zone),
    hints: body.hints ?? {},
  };
  const { decision, message } = await cloud.db.read((session) =>
    explainPlacement(session, cloud, request.caller, question),
  );
  const { candidates, rejections } = decision;
  const hosts = [
    ...candidates.map((host) => ({ host, fits: true, filter: null, reason: null })),
    ...rejections.map(({ host, filter, reason }) => ({ host, fits: false, filter, reason })),
  ];
  const named = cloud.policy.allows(request.caller, 'cumulet:placement:hosts');
  return { status: 200, body: { fits: candidates.length, message, ...(named ? { hosts } : {}) } };
};

/** Nobody's secret: who has a token knows that the cloud is there. */
const access: Handler = (_request, cloud) => {
  const { endpoint = null, ca = null } = cloud.access() ?? {};
  return Promise.resolve({ status: 200, body: { access: { endpoint, ca } } });
};

export const cumuletService: ApiService = {
  name: 'cumulet',
  prefixes: ['/cumulet/v1'],
  routes: [
    { method: 'GET', path: '/servers/:id/timeline', handler: serverTimeline },
    { method: 'GET', path: '/access', handler: access },
    { method: 'GET', path: '/audit', handler: auditReport, policy: 'cumulet:audit' },
    { method: 'POST', path: '/audit/fix', handler: auditFix, policy: 'cumulet:audit:fix' },
    { method: 'POST', path: '/placement', handler: placement, policy: 'cumulet:placement', schema: placementSchema },
  ],
  renderError: (error, request) => {
    const { status, code, message } = publicError(error, request.id);
    return { status, body: { error: { code, message, request_id: request.id } } };
  },
};

export const cumuletRules = {
  'cumulet:timeline': 'rule:admin_or_reader',
  'cumulet:audit': 'rule:admin or rule:system_admin',
  'cumulet:audit:fix': 'rule:admin or rule:system_admin',
  'cumulet:placement': 'rule:admin_or_reader',
  'cumulet:placement:hosts': 'rule:admin or rule:system_admin',
};
