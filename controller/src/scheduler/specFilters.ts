// What flavor and image ask of a host: aggregates by metadata, traits, architecture and hypervisor.
import type { Filter } from './filters';
import type { HostView, PlacementRequest } from './scheduler';

const AGGREGATE_SCOPE = 'aggregate_instance_extra_specs:';
/** Traits of a numbered or named group are the host's as well: it is the only provider there is. */
const TRAIT_SPEC = /^trait[a-zA-Z0-9_-]{0,64}:(.+)$/;

const numeric: Readonly<Record<string, (value: number, asked: number) => boolean>> = {
  '=': (value, asked) => value >= asked,
  '==': (value, asked) => value === asked,
  '!=': (value, asked) => value !== asked,
  '<=': (value, asked) => value <= asked,
  '>=': (value, asked) => value >= asked,
};
const textual: Readonly<Record<string, (value: string, asked: string) => boolean>> = {
  's==': (value, asked) => value === asked,
  's!=': (value, asked) => value !== asked,
  's<': (value, asked) => value < asked,
  's<=': (value, asked) => value <= asked,
  's>': (value, asked) => value > asked,
  's>=': (value, asked) => value >= asked,
};

/**
 * Whether a value fits what an extra spec asks: a plain text, or an operator and its operand as the compute service documents
 * them: `= 4`, `s== fast`, `<in> ssd`, `<all-in> a b`, `<or> a <or> b`.
 */
export function fitsSpec(value: string, asked: string): boolean {
  const words = asked.trim().split(/\s+/);
  const [operator = '', ...operands] = words;
  const rest = operands.join(' ');
  if (operator === '<or>') {
    const choices = asked.split('<or>').map((choice) => choice.trim());
    return choices.some((choice) => choice !== '' && choice === value);
  }
  if (operator === '<in>') return value.includes(rest);
  if (operator === '<all-in>') return operands.every((operand) => value.includes(operand));
  const compareText = textual[operator];
  if (compareText && operands.length > 0) return compareText(value, rest);
  const compareNumber = numeric[operator];
  if (compareNumber && operands.length > 0) return compareNumber(Number(value), Number(rest));
  return value === asked;
}

function refuseAggregates(host: HostView, { extraSpecs }: PlacementRequest): string | undefined {
  for (const [spec, asked] of Object.entries(extraSpecs)) {
    if (!spec.startsWith(AGGREGATE_SCOPE)) continue;
    const key = spec.slice(AGGREGATE_SCOPE.length);
    const values = host.aggregateMetadata.get(key) ?? [];
    if (!values.some((value) => fitsSpec(value, asked))) return `in no aggregate with ${key} ${asked}`;
  }
  return undefined;
}

function refuseTraits(host: HostView, { extraSpecs, imageProperties }: PlacementRequest): string | undefined {
  for (const [spec, asked] of [...Object.entries(extraSpecs), ...Object.entries(imageProperties)]) {
    const [, trait] = TRAIT_SPEC.exec(spec) ?? [];
    if (trait === undefined) continue;
    if (asked === 'required' && !host.traits.has(trait)) return `lacks trait ${trait}`;
    if (asked === 'forbidden' && host.traits.has(trait)) return `has the forbidden trait ${trait}`;
  }
  return undefined;
}

/** Other names of architectures that images use. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: 'x86_64',
  x64: 'x86_64',
  arm64: 'aarch64',
  i386: 'i686',
};
const architecture = (name: string): string => ARCHITECTURES[name.toLowerCase()] ?? name.toLowerCase();

function refuseImage(host: HostView, { imageProperties }: PlacementRequest): string | undefined {
  const asked = imageProperties['hw_architecture'] ?? imageProperties['architecture'];
  if (asked !== undefined && host.architecture !== undefined && architecture(asked) !== architecture(host.architecture))
    return `the image is for ${asked}, the processor is ${host.architecture}`;
  const hypervisor = imageProperties['img_hv_type'] ?? imageProperties['hypervisor_type'];
  // An image for QEMU runs with KVM too; one for KVM need not run under emulation.
  if (
    hypervisor !== undefined &&
    host.virtType !== undefined &&
    ![host.virtType, 'qemu'].includes(hypervisor.toLowerCase())
  )
    return `the image is for the hypervisor ${hypervisor}`;
  const mode = imageProperties['hw_vm_mode'] ?? imageProperties['vm_mode'];
  if (mode !== undefined && mode.toLowerCase() !== 'hvm') return `the image needs the mode ${mode}, only hvm is there`;
  return undefined;
}

const hasAny = (values: Readonly<Record<string, string>>): boolean => Object.keys(values).length > 0;

export const specFilters: readonly Filter[] = [
  { name: 'aggregate', concerns: ({ extraSpecs }) => hasAny(extraSpecs), refuse: refuseAggregates },
  {
    name: 'traits',
    concerns: ({ extraSpecs, imageProperties }) => hasAny(extraSpecs) || hasAny(imageProperties),
    refuse: refuseTraits,
  },
  { name: 'image', concerns: ({ imageProperties }) => hasAny(imageProperties), refuse: refuseImage },
];
