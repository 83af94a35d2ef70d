// The stand-in for libvirt keeps the contract that the real one keeps in test/host.
import { fakeHypervisor } from '../support/fakeHypervisor';
import { hypervisorContract } from '../support/hypervisorContract';

const { hypervisor } = fakeHypervisor();
hypervisorContract(() => hypervisor);
