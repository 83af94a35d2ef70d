// What others lack: why a server is as it is, and the audit of database against hosts.
import { flag, type Columns, type Command, type Row } from '../command';
import { idFor } from '../resource';
import { server } from './resources';

interface Task extends Row {
  readonly running: boolean;
  readonly error: string | null;
  readonly steps: readonly Row[];
}

/** The steps a task took, and the one it is at. */
const rowsOfTask = ({ steps, ...task }: Task): Row[] => [
  ...steps.map((step) => ({ ...task, ...step })),
  ...(task.running ? [{ ...task, outcome: 'running', message: task.error }] : []),
];

const why: Command = {
  name: 'server why',
  summary: 'Tell why a server is as it is: each step of its tasks with cause and time',
  example: 'hello',
  args: ['server'],
  async run({ api, input }) {
    const id = await idFor(api, server, input.arg(0));
    const { tasks, port_faults: faults } = await api.json('cumulet', 'GET', `/servers/${id}/timeline`);
    const rows = [
      ...(tasks as readonly Task[]).flatMap(rowsOfTask),
      ...(faults as readonly Row[]).map((row) => ({
        kind: `port ${String(row['port_id'])}`,
        outcome: 'down',
        message: row['fault'],
      })),
    ];
    const columns = {
      Started: 'started_at',
      Task: 'kind',
      Step: 'step',
      Outcome: 'outcome',
      Milliseconds: 'milliseconds',
      Message: (row: Row) => row['message'] ?? '',
      'Request ID': 'request_id',
    };
    return { list: { columns, rows } };
  },
};

const audit: Command = {
  name: 'audit',
  summary: 'Compare the database with all hosts; ends with 0 when clean, 1 with findings, 2 when it could not look',
  example: '--fix',
  options: {
    all: flag('all hosts, which is what it does anyway'),
    fix: flag('put right what can be; without it the remedy of each finding is only named'),
  },
  failure: 2,
  async run({ api, input }) {
    const report = input.flag('fix')
      ? await api.json('cumulet', 'POST', '/audit/fix')
      : await api.json('cumulet', 'GET', '/audit');
    const left = report['findings'] as Row[];
    const fixed = ((report['fixed'] ?? []) as Row[]).map((row) => ({ ...row, remedy: 'fixed' }));
    const rows = [...fixed, ...left];
    if (rows.length === 0) return { one: { clean: true, ...(report['checked'] as Row) } };
    const columns: Columns = Object.fromEntries(rows.flatMap(Object.keys).map((field) => [field, field]));
    return { list: { columns, rows }, exit: left.length === 0 ? 0 : 1 };
  },
};

export const commands: readonly Command[] = [why, audit];
