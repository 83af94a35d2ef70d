// Traits that the compute agent finds: only what servers really get, under names that the placement API knows.
import { hostTraits, type HostFacts } from '../../compute-agent/src/traits';
import { standardTraits } from '../../controller/src/services/placement/standardNames';

const cpuinfo = 'processor\t: 0\nflags\t\t: fpu vmx sse4_2 aes avx2 avx512_vnni unheard_of\nbogomips: 1\n';
const traits = (changes: Partial<HostFacts> = {}): string[] =>
  hostTraits({ arch: 'x86_64', threads: 1, cpuinfo, kvm: true, ...changes });
const always = [
  'COMPUTE_IMAGE_TYPE_QCOW2',
  'COMPUTE_IMAGE_TYPE_RAW',
  'COMPUTE_NET_ATTACH_INTERFACE',
  'COMPUTE_NET_VIF_MODEL_VIRTIO',
  'COMPUTE_NODE',
  'COMPUTE_STORAGE_BUS_VIRTIO',
];

test('a processor that guests run on gives what it has', () => {
  expect(traits()).toEqual([
    ...always,
    'HW_ARCH_X86_64',
    'HW_CPU_X86_AESNI',
    'HW_CPU_X86_AVX2',
    'HW_CPU_X86_AVX512VNNI',
    'HW_CPU_X86_SSE42',
    'HW_CPU_X86_VMX',
  ]);
});

test.each<[string, Partial<HostFacts>, string[]]>([
  ['an emulated one nothing of it', { kvm: false }, ['HW_ARCH_X86_64']],
  ['one without flags neither', { cpuinfo: 'Features\t: fp asimd\n', arch: 'aarch64' }, ['HW_ARCH_AARCH64']],
  ['several threads a core are told', { kvm: false, threads: 2 }, ['HW_ARCH_X86_64', 'HW_CPU_HYPERTHREADING']],
  ['an architecture that nobody named is left out', { kvm: false, arch: 'z80' }, []],
])('%s', (_what, changes, more) => {
  expect(traits(changes)).toEqual([...always, ...more]);
});

test('the standard traits are those of os-traits', () => {
  expect(standardTraits.size).toBe(345);
  for (const name of ['COMPUTE_EPHEMERAL_ENCRYPTION', 'HW_NIC_SRIOV', 'HW_NIC_SRIOV_QOS_TX', 'HW_CPU_X86_AMD_SVM'])
    expect(standardTraits).toContain(name);
});

test('every flag that is known has a standard trait', () => {
  const flags =
    '3dnow abm aes avx avx2 avx512_bitalg avx512_vbmi2 avx512_vnni avx512_vpopcntdq avx512bw avx512cd avx512dq';
  const more =
    'avx512er avx512f avx512ifma avx512pf avx512vbmi avx512vl bmi1 bmi2 f16c fma fma4 mmx pclmulqdq pdpe1gb pni';
  const rest = 'rtm sha_ni sse sse2 sse4_1 sse4_2 sse4a ssse3 svm tbm vmx xop';
  const all = `${flags} ${more} ${rest}`;
  const found = traits({ cpuinfo: `flags : ${all}`, threads: 2 });
  expect(found).toHaveLength(always.length + 2 + all.split(' ').length);
  expect(found.filter((name) => !standardTraits.has(name))).toEqual([]);
});
