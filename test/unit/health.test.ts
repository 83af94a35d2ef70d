// What a process tells probes and Prometheus about itself.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHealthServer, metrics, observed, type Missing } from '@cumulet/common';

let server: Server;
let missing: Missing;
const ask = async (path: string, method = 'GET') => {
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { method });
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
};

beforeEach(async () => {
  missing = () => Promise.resolve([]);
  server = createHealthServer(() => missing());
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

describe('readiness', () => {
  test('is 200, or 503 with what is missing in words; the process lives all the same', async () => {
    expect(await ask('/readyz')).toMatchObject({ status: 200, text: '{"ready":true,"missing":[]}' });
    missing = () => Promise.resolve(['the message broker is not reached']);
    expect(await ask('/readyz?verbose')).toEqual({
      status: 503,
      type: 'application/json',
      text: '{"ready":false,"missing":["the message broker is not reached"]}',
    });
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  });

  test('that can not be found out is 500', async () => {
    missing = () => Promise.reject(new Error('no idea'));
    expect(await ask('/readyz')).toEqual({ status: 500, type: 'text/plain', text: 'no idea' });
  });
});

test('there is nothing else, and nothing to change', async () => {
  expect((await ask('/')).status).toBe(404);
  expect((await ask('/healthz', 'POST')).status).toBe(404);
});

describe('metrics', () => {
  const lines = async (name: string): Promise<string[]> => {
    const { status, text } = await ask('/metrics');
    expect(status).toBe(200);
    return text.split('\n').filter((line) => line.startsWith(name));
  };

  test('are counted by their labels', async () => {
    metrics.steps.inc({ kind: 'server.create', step: 'spawn', outcome: 'done' });
    metrics.steps.inc({ kind: 'server.create', step: 'spawn', outcome: 'done' });
    expect(await lines('cumulet_task_steps_total')).toEqual([
      'cumulet_task_steps_total{kind="server.create",step="spawn",outcome="done"} 2',
    ]);
    expect((await ask('/metrics')).type).toContain('text/plain; version=0.0.4');
  });

  test('that are looked up keep their last value when that fails, and take no others with them', async () => {
    let look = (): number => 7;
    observed('test_looked_up', 'A number.', ['of'], async (set) => {
      await Promise.resolve();
      set({ of: 'test' }, look());
    });
    expect(await lines('test_looked_up')).toEqual(['test_looked_up{of="test"} 7']);
    look = () => {
      throw new Error('the database does not answer');
    };
    expect(await lines('test_looked_up')).toEqual(['test_looked_up{of="test"} 7']);
    expect(await lines('cumulet_metric_failures_total')).toEqual([
      'cumulet_metric_failures_total{metric="test_looked_up"} 1',
    ]);
    look = () => 8;
    expect(await lines('test_looked_up')).toEqual(['test_looked_up{of="test"} 8']);
  });
});
