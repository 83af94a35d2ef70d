// What the controller relies on in a host: the same statements about the simulated one and about real agents with libvirt and files.
import { agentContract } from './agents';
import { diskContract } from './disks';
import { migrationContract } from './migrations';
import { portContract } from './ports';
import { contractScene, type Subject } from './scene';
import { serverContract } from './servers';
import { sharedDiskContract } from './sharedDisks';
import { snapshotContract } from './snapshots';

export type { HostUnderContract } from './scene';

/**
 * Declares the contract's tests. The hosts' agents run, and each test leaves nothing behind.
 * @param alone called within a test: a host with disks of its own
 * @param other called within a test: another host, which the first one reaches
 * @param sharing called before the tests that come last: a host with disks that others could have too
 */
export function hostContract(alone: () => Subject, other: () => Subject, sharing: () => Promise<Subject>): void {
  describe('a host', () => {
    const scene = contractScene(alone);
    describe('and its agents', () => agentContract(scene));
    describe('and its disks', () => diskContract(scene));
    describe('and its snapshots', () => snapshotContract(scene));
    describe('and its ports', () => portContract(scene));
    describe('and its servers', () => serverContract(scene));
    describe('and its migrations', () => migrationContract(scene, other));
  });
  describe('a host that shares its disks', () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await sharing();
    });
    sharedDiskContract(contractScene(() => subject));
  });
}
