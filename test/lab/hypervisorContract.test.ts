// libvirt with QEMU keeps the contract that the stand-in of the unit tests keeps.
import { LibvirtClient } from '@cumulet/libvirt';
import { hypervisorContract } from '../support/hypervisorContract';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';

let libvirtd: PrivateLibvirtd;
let libvirt: LibvirtClient;

beforeAll(async () => {
  libvirtd = await startPrivateLibvirtd();
  libvirt = await LibvirtClient.connect({ socketPath: libvirtd.socketPath });
});
afterAll(async () => {
  await libvirt?.close();
  await libvirtd?.stop();
});

hypervisorContract(() => libvirt);
