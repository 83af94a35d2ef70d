// A controller on a port of its own with a fresh database, for tests that speak HTTP to it.
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  parseConfig,
  silentLogger,
  createLogger,
  systemClock,
  type Bus,
  type Clock,
  type HostApi,
} from '@cumulet/common';
import {
  ControllerConfig,
  createController,
  UnauthorizedError,
  type Caller,
  type Cloud,
  type Controller,
  type EngineOptions,
  type TokenAuthority,
} from '@cumulet/controller';
import { databaseIn } from './testDatabase';

/** A caller for tests; the name of its token is also the name of its user and project. */
export function testCaller(name: string, roles: readonly string[], changes: Partial<Caller> = {}): Caller {
  return {
    userId: `${name}-user`,
    userName: name,
    userDomainId: 'default',
    projectId: `${name}-project`,
    projectName: name,
    projectDomainId: 'default',
    domainId: null,
    systemScope: false,
    roles,
    isAdmin: roles.includes('admin'),
    auditIds: [`audit-${name}`],
    expiresAt: Date.now() + 3_600_000,
    methods: ['password'],
    ...changes,
  };
}

/**
 * Tokens that stand for callers: "admin", the tenants "demo" and "other", "reader" who may only read demo's project, and two whose
 * token is for no project: "system", an administrator of the cloud, and "domain", who reads a domain.
 */
export const testCallers: Readonly<Record<string, Caller>> = {
  admin: testCaller('admin', ['admin', 'member', 'reader']),
  demo: testCaller('demo', ['member', 'reader']),
  other: testCaller('other', ['member', 'reader']),
  reader: testCaller('reader', ['reader'], { projectId: 'demo-project', projectName: 'demo' }),
  system: testCaller('system', ['admin', 'member', 'reader'], {
    projectId: null,
    projectName: null,
    projectDomainId: null,
    systemScope: true,
  }),
  domain: testCaller('domain', ['reader'], {
    projectId: null,
    projectName: null,
    projectDomainId: null,
    domainId: 'default',
  }),
};

const testTokens: TokenAuthority = {
  authenticate: (token) => {
    const caller = testCallers[token];
    return caller ? Promise.resolve(caller) : Promise.reject(new UnauthorizedError());
  },
};

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed when it was JSON, else the text. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into bodies freely
  readonly body: any;
}

export interface TestCloud {
  readonly controller: Controller;
  readonly cloud: Cloud;
  readonly url: string;
  readonly directory: string;
  /** Statements the database ran so far; take differences to count queries. */
  readonly statements: string[];
  /** One request: `call('GET', '/network/v2.0/networks', {token: 'demo'})`. `body` is sent as JSON unless it is a Buffer or string. */
  call(
    method: string,
    path: string,
    options?: { token?: string | null; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

export interface TestCloudOptions {
  readonly bus?: Bus;
  /** True: tokens are checked by identity itself instead of the test callers. */
  readonly realIdentity?: boolean;
  readonly host?: (name: string) => HostApi | undefined;
  readonly config?: Partial<ControllerConfig>;
  readonly clock?: Clock;
  /** Default false: tasks pile up and nothing runs. */
  readonly engine?: EngineOptions | false;
}

export async function startTestCloud(options: TestCloudOptions = {}): Promise<TestCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-test-'));
  try {
    return await startIn(directory, options);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(directory: string, options: TestCloudOptions): Promise<TestCloud> {
  const statements: string[] = [];
  const database = await databaseIn(options.config?.data_dir ?? directory);
  const defaults = parseConfig(ControllerConfig, '', 'defaults');
  const config = {
    ...defaults,
    database: { ...defaults.database, ...database.config },
    data_dir: directory,
    port: 0,
    durable: false,
    password_cost: 10,
    ...options.config,
  };
  const controller = await createController({
    config,
    bus: options.bus ?? createMemoryBus(),
    clock: options.clock ?? systemClock,
    log: process.env['LOUD'] ? createLogger('t') : silentLogger,
    host: options.host ?? (() => undefined),
    engine: options.engine ?? false,
    // Not what the controller asks by itself again and again, whatever the test does.
    onStatement: (sql) => void (/FROM ["`]identity_change/.test(sql) || statements.push(sql)),
    ...(options.realIdentity ? {} : { tokens: testTokens }),
  });
  const server = await controller.start().catch(async (error: unknown) => {
    await controller.stop();
    throw error;
  });
  // A process that is held up for some seconds would close a connection just when it is used again.
  server.keepAliveTimeout = 0;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    controller,
    cloud: controller.cloud,
    url,
    directory,
    statements,
    async call(method, path, { token = 'demo', body, headers = {} } = {}) {
      const raw = typeof body === 'string' || Buffer.isBuffer(body);
      const response = await fetch(url + path, {
        method,
        redirect: 'manual',
        headers: {
          ...(token === null ? {} : { 'x-auth-token': token }),
          ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
      });
      const text = await response.text();
      let parsed: unknown = text;
      if ((response.headers.get('content-type') ?? '').includes('json') && text) parsed = JSON.parse(text);
      return { status: response.status, headers: response.headers, body: parsed };
    },
    async stop() {
      await controller.stop();
      if (config.data_dir === directory) await database.drop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
