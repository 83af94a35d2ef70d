// What flavor and image ask of a host: aggregates by metadata, traits, architecture and hypervisor.
import type { Filter, Refusal } from './filters';
import type { PlacementRequest } from './scheduler';

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

function askAggregates({ extraSpecs }: PlacementRequest): Refusal | undefined {
  const wanted = Object.entries(extraSpecs)
    .filter(([spec]) => spec.startsWith(AGGREGATE_SCOPE))
    .map(([spec, asked]) => ({ key: spec.slice(AGGREGATE_SCOPE.length), asked }));
  if (wanted.length === 0) return undefined;
  return ({ aggregateMetadata }) => {
    const missing = wanted.find(
      ({ key, asked }) => !(aggregateMetadata.get(key) ?? []).some((value) => fitsSpec(value, asked)),
    );
    return missing && `in no aggregate with ${missing.key} ${missing.asked}`;
  };
}

function askTraits({ extraSpecs, imageProperties }: PlacementRequest): Refusal | undefined {
  const wanted = [...Object.entries(extraSpecs), ...Object.entries(imageProperties)].flatMap(([spec, asked]) => {
    const [, trait] = TRAIT_SPEC.exec(spec) ?? [];
    return trait !== undefined && (asked === 'required' || asked === 'forbidden') ? [{ trait, asked }] : [];
  });
  if (wanted.length === 0) return undefined;
  return ({ traits }) => {
    const wrong = wanted.find(({ trait, asked }) => traits.has(trait) !== (asked === 'required'));
    return (
      wrong && (wrong.asked === 'required' ? `lacks trait ${wrong.trait}` : `has the forbidden trait ${wrong.trait}`)
    );
  };
}

/** Other names of architectures that images use. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: 'x86_64',
  x64: 'x86_64',
  arm64: 'aarch64',
  i386: 'i686',
};
const architecture = (name: string): string => ARCHITECTURES[name.toLowerCase()] ?? name.toLowerCase();

function askImage({ imageProperties }: PlacementRequest): Refusal | undefined {
  const asked = imageProperties['hw_architecture'] ?? imageProperties['architecture'];
  const hypervisor = imageProperties['img_hv_type'] ?? imageProperties['hypervisor_type'];
  const mode = imageProperties['hw_vm_mode'] ?? imageProperties['vm_mode'];
  if (asked === undefined && hypervisor === undefined && mode === undefined) return undefined;
  return (host) => {
    if (
      asked !== undefined &&
      host.architecture !== undefined &&
      architecture(asked) !== architecture(host.architecture)
    )
      return `the image is for ${asked}, the processor is ${host.architecture}`;
    // An image for QEMU runs with KVM too; one for KVM need not run under emulation.
    if (
      hypervisor !== undefined &&
      host.virtType !== undefined &&
      ![host.virtType, 'qemu'].includes(hypervisor.toLowerCase())
    )
      return `the image is for the hypervisor ${hypervisor}`;
    return mode !== undefined && mode.toLowerCase() !== 'hvm'
      ? `the image needs the mode ${mode}, only hvm is there`
      : undefined;
  };
}

export const specFilters: readonly Filter[] = [
  { name: 'aggregate', asks: askAggregates },
  { name: 'traits', asks: askTraits },
  { name: 'image', asks: askImage },
];
