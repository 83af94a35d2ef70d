// What a process counts, for Prometheus. One registry per process.
import { collectDefaultMetrics, Counter, Gauge, Histogram, register } from 'prom-client';

/** Seconds; commands range from a lookup to the copy of an image. */
const COMMAND_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900];
const REQUEST_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 10];

export const metrics = {
  commands: new Histogram({
    name: 'cumulet_command_duration_seconds',
    help: 'Commands that an agent carried out, by kind and outcome.',
    labelNames: ['kind', 'outcome'] as const,
    buckets: COMMAND_BUCKETS,
  }),
  requests: new Histogram({
    name: 'cumulet_http_request_duration_seconds',
    help: 'Requests to the API, by service, method and status.',
    labelNames: ['service', 'method', 'status'] as const,
    buckets: REQUEST_BUCKETS,
  }),
  steps: new Counter({
    name: 'cumulet_task_steps_total',
    help: 'Ends of steps of tasks, by kind, step and outcome.',
    labelNames: ['kind', 'step', 'outcome'] as const,
  }),
  failedLooks: new Counter({
    name: 'cumulet_metric_failures_total',
    help: 'Failures to look up a number that is looked up when it is asked for, by metric.',
    labelNames: ['metric'] as const,
  }),
};

/** A number that is looked up when it is asked for; a failure is counted and leaves the last one. */
export function observed<L extends string>(
  name: string,
  help: string,
  labelNames: readonly L[],
  look: (set: (labels: Readonly<Record<L, string>>, value: number) => void) => Promise<void>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    async collect() {
      // Thrown, it would take all other metrics with it.
      await look((labels, value) => this.set(labels, value)).catch(() => metrics.failedLooks.inc({ metric: name }));
    },
  });
}

/**
 * Milliseconds between two looks at the event loop, which its delays include. The library's own 10 wake the process a hundred times a
 * second: that was a third of all that an idle cloud computed.
 */
const EVENT_LOOP_LOOK_MS = 100;

let measuring = false;

/**
 * All metrics in Prometheus' text format, those of Node.js included. Event loop and garbage collection are watched from the first time
 * that somebody asks: most clouds are asked by nobody.
 */
export async function metricsText(): Promise<{ readonly type: string; readonly text: string }> {
  if (!measuring) collectDefaultMetrics({ eventLoopMonitoringPrecision: EVENT_LOOP_LOOK_MS });
  measuring = true;
  return { type: register.contentType, text: await register.metrics() };
}
