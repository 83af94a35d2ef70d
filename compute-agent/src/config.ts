// The compute agent's configuration: every key, its meaning and its default.
import { Type, type Static } from '@sinclair/typebox';

export const ComputeConfig = Type.Object(
  {
    dir: Type.String({ default: '/var/lib/cumulet/host', description: 'Where config drives and console logs are.' }),
    domain_prefix: Type.String({ default: 'cumulet-', description: 'What the names of our domains begin with.' }),
    virt_type: Type.Union([Type.Literal('auto'), Type.Literal('kvm'), Type.Literal('qemu')], {
      default: 'auto',
      description: 'Hardware virtualization (kvm), emulation (qemu), or what works here.',
    }),
    libvirt_uri: Type.String({ default: 'qemu:///system', description: 'Connection URI of libvirt.' }),
    libvirt_socket: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: "The daemon's socket when it is not in its usual place.",
    }),
    shutdown_seconds: Type.Integer({
      default: 60,
      minimum: 0,
      description: 'How long a guest may take to power off when asked before its power is cut.',
    }),
  },
  { additionalProperties: false },
);
export type ComputeConfig = Static<typeof ComputeConfig>;
