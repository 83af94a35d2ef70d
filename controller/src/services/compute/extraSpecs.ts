// Which extra specs of flavors mean something, from 2.86 on: names in known namespaces and what their values may be.
import { InvalidError } from '../../errors';

type Value =
  | { readonly type: 'text'; readonly pattern?: RegExp }
  | { readonly type: 'one of'; readonly values: readonly string[] }
  | { readonly type: 'boolean' }
  | { readonly type: 'integer'; readonly minimum?: number };

const text = (pattern?: RegExp): Value => (pattern ? { type: 'text', pattern } : { type: 'text' });
const oneOf = (...values: string[]): Value => ({ type: 'one of', values });
const flag: Value = { type: 'boolean' };
const from = (minimum: number): Value => ({ type: 'integer', minimum });
const integer: Value = { type: 'integer' };

/** A set of processors: "0-3,^2". */
const cpuSet = /^\^?\d+((-\d+)?(,\^?\d+(-\d+)?)?)*$/;

/** Names are expressions that must fit the whole name. */
const known: readonly (readonly [string, Value])[] = [
  ['accel:device_profile', text()],
  ['aggregate_instance_extra_specs:.+', text()],
  ['capabilities:[a-z_]+(:\\w+)*', text()],
  ['hw:(cpu_realtime|hide_hypervisor_id|locked_memory|boot_menu|vif_multiqueue_enabled|mem_encryption|pmu)', flag],
  ['hw:(virtio_packed_ring|ephemeral_encryption)', flag],
  ['hw:(cpu_realtime_mask|cpu_dedicated_mask)', text(cpuSet)],
  ['hw:cpu_policy', oneOf('dedicated', 'shared', 'mixed')],
  ['hw:cpu_thread_policy', oneOf('prefer', 'isolate', 'require')],
  ['hw:emulator_threads_policy', oneOf('isolate', 'share')],
  ['hw:mem_page_size', text(/^(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)$/)],
  ['hw:mem_encryption_model', oneOf('amd-sev', 'amd-sev-es')],
  ['hw:numa_nodes', from(1)],
  ['hw:numa_cpus\\.\\d+', text(cpuSet)],
  ['hw:numa_mem\\.\\d+', from(1)],
  ['hw:pci_numa_affinity_policy', oneOf('required', 'preferred', 'legacy', 'socket')],
  ['hw:cpu_(max_)?(sockets|cores|threads)', from(1)],
  ['hw:pmem', text(/^([a-zA-Z0-9_]+,?)+$/)],
  ['hw:serial_port_count', from(0)],
  ['hw:tpm_model', oneOf('tpm-tis', 'tpm-crb')],
  ['hw:tpm_version', oneOf('1.2', '2.0')],
  ['hw:tpm_secret_security', oneOf('user', 'host', 'deployment')],
  ['hw:watchdog_action', oneOf('none', 'pause', 'poweroff', 'reset', 'disabled')],
  ['hw:viommu_model', oneOf('intel', 'smmuv3', 'virtio', 'auto')],
  ['hw:ephemeral_encryption_format', oneOf('luks', 'plain')],
  ['hw_rng:allowed', flag],
  ['hw_rng:(rate_bytes|rate_period)', from(0)],
  ['hw_video:ram_max_mb', from(0)],
  ['hide_hypervisor_id', flag],
  ['group_policy', oneOf('isolate', 'none')],
  ['os:secure_boot', oneOf('disabled', 'required')],
  ['pci_passthrough:alias', text(/^[^:]+:\d+(?:\s*,\s*[^:]+:\d+)*$/)],
  ['quota:(cpu_shares|cpu_period)', from(0)],
  ['quota:cpu_quota', integer],
  ['quota:disk_(read|write|total)_(bytes|iops)_sec', from(0)],
  ['quota:vif_(inbound|outbound)_(average|peak|burst)', from(0)],
  ['quota:(cpu|memory|disk_io|vif)_limit', from(0)],
  ['quota:(cpu|memory|disk_io|vif)_reservation', integer],
  ['quota:(cpu|memory|disk_io|vif)_shares_level', oneOf('custom', 'high', 'normal', 'low')],
  ['quota:(cpu|memory|disk_io|vif)_shares_share', from(0)],
  ['resources([a-zA-Z0-9_-]{1,64})?:[A-Z0-9_]+', integer],
  ['trait([a-zA-Z0-9_-]{1,64})?:[A-Z0-9_]+', oneOf('required', 'forbidden')],
  ['vmware:(hw_version|storage_policy)', text()],
];
const table = known.map(([name, value]) => [new RegExp(`^${name}$`), value] as const);

/** Namespaces in which a name that nobody knows is a mistake; all others are the operator's own. */
const namespaces =
  /^(accel|aggregate_instance_extra_specs|capabilities|hw|hw_rng|hw_video|os|pci_passthrough|quota|resources[\w-]*|trait[\w-]*|vmware):/;

const BOOLEAN = /^(1|t|true|on|y|yes|0|f|false|off|n|no)$/i;

/** What is wrong with a value, in words. */
function problem(value: string, kind: Value): string | undefined {
  switch (kind.type) {
    case 'text':
      return !kind.pattern || kind.pattern.test(value) ? undefined : `'${value}' does not have the right format`;
    case 'one of':
      return kind.values.includes(value) ? undefined : `'${value}' is not one of: ${kind.values.join(', ')}`;
    case 'boolean':
      return BOOLEAN.test(value.trim()) ? undefined : `'${value}' is not a valid boolean-like value`;
    case 'integer': {
      if (!/^\s*[+-]?\d+\s*$/.test(value)) return `'${value}' is not a valid integer value`;
      const { minimum = -Infinity } = kind;
      return Number(value) < minimum ? `'${value}' is less than the min value of '${minimum}'` : undefined;
    }
  }
}

/** @throws InvalidError for an unknown name in a known namespace, or a value that a known name can't have */
export function checkExtraSpec(name: string, value: string): void {
  const found = table.find(([expression]) => expression.test(name));
  if (!found) {
    if (!namespaces.test(name)) return;
    throw new InvalidError(
      `Validation failed; extra spec '${name}' does not appear to be a valid extra spec.`,
      'ValidationError',
    );
  }
  const wrong = problem(value, found[1]);
  if (wrong !== undefined) throw new InvalidError(`Validation failed; ${wrong}.`, 'ValidationError');
}
