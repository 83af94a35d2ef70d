// A client and a fake daemon for each test of a file, with objects to talk about.
import { LibvirtClient } from '@cumulet/libvirt';
import { Refusal, startFakeLibvirtd } from './fakeLibvirtd';
import type { FakeLibvirtd, ProcedureKey } from './fakeLibvirtd';

export const uuid = '00010203-0405-0607-0809-0a0b0c0d0e0f';
/** How the client refers to a domain of which it knows the uuid only. */
export const dom = { name: uuid, uuid, id: -1 };
export const named = { name: 'vm', uuid, id: 3 };
export const pool = { name: 'p', uuid };
export const vol = { pool: 'p', name: 'v', key: '/p/v' };
export const secret = { uuid, usageType: 3, usageID: 't' };
export const filter = { name: 'f', uuid };

export interface LibvirtScene {
  readonly client: LibvirtClient;
  readonly daemon: FakeLibvirtd;
  /** Answers `key` with `result` and returns where the arguments will be. */
  answer(key: ProcedureKey, result?: object): { args?: unknown };
  refuse(key: ProcedureKey, code: number, message?: string): void;
}

/** Sets the scene up before each test and takes it down after. */
export function libvirtScene(): LibvirtScene {
  let daemon: FakeLibvirtd;
  let client: LibvirtClient;
  beforeEach(async () => {
    daemon = await startFakeLibvirtd();
    client = await LibvirtClient.connect({ socketPath: daemon.socketPath, events: [] });
  });
  afterEach(async () => {
    await client.close();
    await daemon.remove();
  });
  return {
    get client() {
      return client;
    },
    get daemon() {
      return daemon;
    },
    answer(key, result = {}) {
      const seen: { args?: unknown } = {};
      daemon.on(key, (args) => {
        seen.args = args;
        return result;
      });
      return seen;
    },
    refuse: (key, code, message = 'no') =>
      daemon.on(key, () => {
        throw new Refusal(code, message);
      }),
  };
}
