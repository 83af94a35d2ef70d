// A stand-in for libvirt at the client's interface; `hypervisorContract` holds it to what the real one does.
import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Hypervisor } from '@cumulet/compute-agent';
import {
  ErrorCode,
  LibvirtError,
  MigrateFlag,
  XmlFlag,
  type DomainReference,
  type DomainStateName,
  type ManagedMigration,
  type MigrationSockets,
} from '@cumulet/libvirt';

interface FakeDomain {
  name: string;
  uuid: string;
  id: number;
  state: DomainStateName;
  reason: number;
  saved: string | undefined;
  config: string;
  live: string | undefined;
  /** More statistics than those of its state. */
  statistics?: Record<string, number | string>;
  job?: 'running' | 'completed' | 'failed' | 'cancelled';
}

export interface FakeHypervisor {
  readonly hypervisor: Hypervisor;
  /** Names of the calls that change something, in their order. */
  readonly calls: string[];
  readonly domains: Map<string, FakeDomain>;
  /** What the guest does when the power button is pressed; off at once unless told. */
  onPowerButton: (domain: FakeDomain) => void;
  /** What the guest does when it shall let a device go; it obeys at once unless told. */
  onUnplug: (domain: FakeDomain, alias: string) => void;
  /** What becomes of a job on a domain each time somebody looks; it is complete at once unless told. */
  onJob: (domain: FakeDomain) => 'running' | 'completed' | 'failed';
  /** What happens while a guest is sent; its memory goes through the socket unless told. */
  onPerform: (domain: FakeDomain, socket: string) => Promise<void>;
  /** What came through the socket of a guest that is received. */
  received: string;
  /** What is answered about the processor of a guest. */
  cpu: 'identical' | 'incompatible';
  /** Makes the next call of this name fail. */
  failNext(call: string, error: Error): void;
  /** Switches a domain off as if by itself. */
  stopped(uuid: string, reason: number): void;
  emit(event: 'connected'): void;
}

/** An error as the daemon sends it. */
export function libvirtError(code: number, message: string | undefined = 'refused', procedure = 'FAKE'): LibvirtError {
  const nothing = {
    dom: undefined,
    str1: undefined,
    str2: undefined,
    str3: undefined,
    int1: 0,
    int2: 0,
    net: undefined,
  };
  return new LibvirtError(procedure, { code, domain: 10, message, level: 2, ...nothing });
}

const STATES = ['none', 'running', 'blocked', 'paused', 'shutting-down', 'shut-off', 'crashed', 'pm-suspended'];
const element = (xml: string, name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';

const INTERFACE = /<interface [^]*?<\/interface>/g;
/** Names the interfaces of a running guest as libvirt does. */
function withAliases(xml: string): string {
  let next = 0;
  return xml.replace(INTERFACE, (one) =>
    one.includes('<alias ') ? one : one.replace('</interface>', `<alias name='net${next++}'/></interface>`),
  );
}
const withoutAlias = (xml: string, alias: string): string =>
  xml.replace(INTERFACE, (one) => (one.includes(`<alias name='${alias}'/>`) ? '' : one));

export function fakeHypervisor(): FakeHypervisor {
  const events = new EventEmitter();
  const domains = new Map<string, FakeDomain>();
  const calls: string[] = [];
  const failures = new Map<string, Error>();
  let nextId = 1;
  const listening = new Set<Server>();

  const doCall = (name: string): void => {
    calls.push(name);
    const error = failures.get(name);
    failures.delete(name);
    if (error) throw error;
  };
  const known = (uuid: string): FakeDomain => {
    const domain = domains.get(uuid);
    if (!domain) throw libvirtError(ErrorCode.NO_DOMAIN, `no domain ${uuid}`);
    return domain;
  };
  const lifecycle = (domain: FakeDomain, event: string): void => {
    setImmediate(() =>
      events.emit('lifecycle', { domain: { name: domain.name, uuid: domain.uuid, id: domain.id }, event, detail: '' }),
    );
  };
  const off = (domain: FakeDomain, reason: number): void => {
    Object.assign(domain, { state: 'shut-off', reason, live: undefined, id: -1 });
    lifecycle(domain, 'stopped');
  };
  const active = (uuid: string): FakeDomain => {
    const domain = known(uuid);
    if (domain.live === undefined) throw libvirtError(ErrorCode.OPERATION_INVALID, 'domain is not running');
    return domain;
  };
  const reference = ({ name, uuid, id }: FakeDomain): DomainReference => ({ name, uuid, id });

  const methods = {
    close: async () => listening.forEach((server) => void server.close()),
    domains: async () => [...domains.values()].map(reference),
    lookupDomain: async (uuid: string) => {
      doCallQuietly('lookupDomain');
      const domain = domains.get(uuid);
      return domain && reference(domain);
    },
    domainState: async (uuid: string) => {
      doCallQuietly('domainState');
      const domain = domains.get(uuid);
      return domain && { state: domain.state, reason: domain.reason };
    },
    domainXml: async (uuid: string, flags = 0) => {
      const domain = known(uuid);
      return (flags & XmlFlag.INACTIVE) === 0 ? (domain.live ?? domain.config) : domain.config;
    },
    hasManagedSave: async (uuid: string) => known(uuid).saved !== undefined,
    allDomainStats: async () =>
      [...domains.values()].map((domain) => ({
        domain: reference(domain),
        statistics: {
          'state.state': STATES.indexOf(domain.state),
          'state.reason': domain.reason,
          ...domain.statistics,
        },
      })),
    memoryStats: async (uuid: string) => {
      doCallQuietly('memoryStats');
      active(uuid);
      return { actualBalloon: 65536 };
    },
    openConsole: async (uuid: string) => {
      active(uuid);
      doCall('openConsole');
      return new PassThrough();
    },
    setUserPassword: async (uuid: string) => {
      if (!active(uuid).live?.includes('org.qemu.guest_agent'))
        throw libvirtError(ErrorCode.ARGUMENT_UNSUPPORTED, 'QEMU guest agent is not configured');
      doCall('setUserPassword');
    },
    defineDomain: async (xml: string) => {
      doCall('defineDomain');
      const [name, uuid] = [element(xml, 'name'), element(xml, 'uuid')];
      const domain = domains.get(uuid);
      if (domain) domain.config = xml;
      else
        domains.set(uuid, {
          name,
          uuid,
          id: -1,
          state: 'shut-off',
          reason: 0,
          saved: undefined,
          config: xml,
          live: undefined,
        });
      return reference(known(uuid));
    },
    startDomain: async (uuid: string, { paused = false } = {}) => {
      doCall('startDomain');
      const domain = known(uuid);
      if (domain.live !== undefined) {
        if (domain.state === 'running' || (paused && domain.state === 'paused')) return;
        throw libvirtError(ErrorCode.OPERATION_INVALID, 'domain is already running');
      }
      const live = domain.saved ?? withAliases(domain.config);
      Object.assign(domain, { live, saved: undefined, id: nextId++, reason: 1 });
      domain.state = paused ? 'paused' : 'running';
      lifecycle(domain, 'started');
    },
    shutdownDomain: async (uuid: string) => {
      doCall('shutdownDomain');
      fake.onPowerButton(active(uuid));
    },
    destroyDomain: async (uuid: string) => {
      doCall('destroyDomain');
      const domain = domains.get(uuid);
      if (domain?.live !== undefined) off(domain, 2);
    },
    undefineDomain: async (uuid: string) => {
      doCall('undefineDomain');
      domains.delete(uuid);
    },
    suspendDomain: async (uuid: string) => {
      doCall('suspendDomain');
      const domain = active(uuid);
      domain.state = 'paused';
      lifecycle(domain, 'suspended');
    },
    resumeDomain: async (uuid: string) => {
      doCall('resumeDomain');
      const domain = active(uuid);
      domain.state = 'running';
      lifecycle(domain, 'resumed');
    },
    attachDevice: async (uuid: string, xml: string) => {
      doCall('attachDevice');
      const domain = active(uuid);
      const taken = (domain.live?.match(/<alias name='net/g) ?? []).length;
      const named = xml.replace('</interface>', `<alias name='net${taken}'/></interface>`);
      domain.live = domain.live?.replace('</devices>', `${named}</devices>`);
    },
    detachDeviceByAlias: async (uuid: string, alias: string) => {
      doCall('detachDeviceByAlias');
      fake.onUnplug(active(uuid), alias);
    },
    beginBackup: async (uuid: string, xml: string) => {
      doCall('beginBackup');
      const domain = active(uuid);
      if (domain.job === 'running') throw libvirtError(ErrorCode.OPERATION_INVALID, 'another job is active');
      domain.job = 'running';
      writeFileSync(/<target file='([^']+)'/.exec(xml)?.[1] ?? '', 'the disk');
    },
    jobStats: async (uuid: string, { completed = false } = {}) => {
      if (completed) return { type: known(uuid).job ?? 'none', statistics: {} };
      const domain = active(uuid);
      if (domain.job === 'running') domain.job = fake.onJob(domain);
      const statistics = { disk_processed: 1n, disk_total: 2n };
      return { type: domain.job === 'running' ? 'unbounded' : 'none', statistics };
    },
    abortJob: async (uuid: string) => {
      doCall('abortJob');
      const domain = active(uuid);
      if (domain.job !== 'running') throw libvirtError(ErrorCode.OPERATION_INVALID, 'no job is active');
      domain.job = 'cancelled';
    },
    compareCpu: async () => fake.cpu,
    sendDomain: async (uuid: string, _options: ManagedMigration, xml: string) => {
      doCall('sendDomain');
      const domain = active(uuid);
      return {
        xml,
        cookie: Buffer.from('begun'),
        perform: async (cookie: Buffer, { migrateUri }: MigrationSockets) => {
          doCall('perform');
          domain.job = 'running';
          await fake.onPerform(domain, migrateUri.replace('unix://', ''));
          if ((domain.job as string) === 'cancelled') throw libvirtError(ErrorCode.OPERATION_ABORTED, 'aborted');
          Object.assign(domain, { job: 'completed', state: 'paused', reason: 2 });
          return Buffer.concat([cookie, Buffer.from(' sent')]);
        },
        takeBack: async () => {
          doCall('takeBack');
          Object.assign(domain, { state: 'running', reason: 5 });
        },
        close: async () => doCall('closeOutgoing'),
      };
    },
    receiveDomain: async (
      name: string,
      options: ManagedMigration,
      xml: string,
      cookie: Buffer,
      { migrateUri }: MigrationSockets,
    ) => {
      doCall('receiveDomain');
      const uuid = element(xml, 'uuid');
      const server = createServer((socket) => socket.on('data', (chunk) => void (fake.received += chunk.toString())));
      listening.add(server);
      await new Promise<void>((done) => void server.listen(migrateUri.replace('unix://', ''), done));
      const coming = { name, uuid, id: nextId++, saved: undefined, config: xml, live: xml };
      domains.set(uuid, { ...coming, state: 'paused', reason: 2 });
      let here = false;
      return {
        cookie: Buffer.concat([cookie, Buffer.from(' ready')]),
        finish: async (last: Buffer) => {
          doCall('finish');
          here = true;
          const paused = (options.flags & MigrateFlag.PAUSED) !== 0;
          Object.assign(known(uuid), paused ? { reason: 1 } : { state: 'running', reason: 1 });
          return last;
        },
        close: async () => {
          server.close();
          // As libvirt does with what was not taken to its end.
          if (!here) domains.delete(uuid);
        },
      };
    },
    managedSave: async (uuid: string) => {
      doCall('managedSave');
      const domain = active(uuid);
      domain.saved = domain.live;
      off(domain, 5);
    },
    managedSaveRemove: async (uuid: string) => {
      doCall('managedSaveRemove');
      known(uuid).saved = undefined;
    },
    nodeInfo: async () => ({
      model: 'x86_64',
      memoryKiB: 2048 * 1024,
      cpus: 2,
      mhz: 0,
      nodes: 1,
      sockets: 1,
      cores: 2,
      threads: 1,
    }),
    version: async () => ({ library: '9.0.0', hypervisor: '7.2.22' }),
    capabilities: async () =>
      '<capabilities><host><cpu><arch>x86_64</arch><model>Test</model><vendor>V</vendor></cpu></host></capabilities>',
    domainCapabilities: async () => '<domainCapabilities><domain>kvm</domain></domainCapabilities>',
    on: (name: string, listener: (event: never) => void) => events.on(name, listener as (event: unknown) => void),
  };
  /** Looking is not worth remembering, but may fail too. */
  function doCallQuietly(name: string): void {
    doCall(name);
    calls.pop();
  }

  const fake: FakeHypervisor = {
    hypervisor: methods as unknown as Hypervisor,
    calls,
    domains,
    onPowerButton: (domain) => off(domain, 1),
    onJob: () => 'completed',
    onPerform: (_domain, socket) =>
      new Promise((resolve, reject) => {
        connect(socket)
          .once('error', reject)
          .once('close', () => resolve())
          .resume()
          .end('memory');
      }),
    received: '',
    cpu: 'identical',
    onUnplug: (domain, alias) => void (domain.live = withoutAlias(domain.live ?? '', alias)),
    failNext: (call, error) => void failures.set(call, error),
    stopped: (uuid, reason) => off(known(uuid), reason),
    emit: (event) => void events.emit(event),
  };
  return fake;
}
