// What others lack: why a server is as it is, and the audit of database against hosts.
import type { Command, Row } from '../command';
import { idFor } from '../resource';
import { server } from './resources';

interface Step {
  readonly step: string;
  readonly outcome: string;
  readonly message: string | null;
  readonly started_at: string | null;
  readonly milliseconds: number | null;
}

const why: Command = {
  name: 'server why',
  summary: 'Tell why a server is as it is: each step of its tasks with cause and time',
  example: 'cumulet server why hello',
  args: ['server'],
  async run({ api, input }) {
    const id = await idFor(api, server, input.arg(0));
    const { tasks } = (await api.json('cumulet', 'GET', `/servers/${id}/timeline`)) as unknown as {
      tasks: readonly (Row & { kind: string; request_id: string | null; steps: readonly Step[] })[];
    };
    const titles = ['Started', 'Task', 'Step', 'Outcome', 'Milliseconds', 'Message', 'Request ID'];
    const rows = tasks.flatMap((task) =>
      task.steps.map((step): Row => ({
        Started: step.started_at,
        Task: task.kind,
        Step: step.step,
        Outcome: step.outcome,
        Milliseconds: step.milliseconds,
        Message: step.message ?? '',
        'Request ID': task.request_id,
      })),
    );
    return { list: { columns: titles.map((title) => ({ title, of: (row: Row) => row[title] })), rows } };
  },
};

const audit: Command = {
  name: 'audit',
  summary: 'Compare the database with the hosts; ends with 0 when clean, 1 with findings, 2 when it could not look',
  example: 'cumulet audit',
  failure: 2,
  async run({ api }) {
    const report = await api.json('cumulet', 'GET', '/audit');
    const findings = report['findings'] as Row[];
    const clean = report['clean'] === true;
    const fields = [...new Set(findings.flatMap((finding) => Object.keys(finding)))];
    if (clean) return { one: { clean, ...(report['checked'] as Row) } };
    return {
      list: { columns: fields.map((title) => ({ title, of: (row: Row) => row[title] })), rows: findings },
      exit: 1,
    };
  },
};

export const whyCommands: readonly Command[] = [why, audit];
