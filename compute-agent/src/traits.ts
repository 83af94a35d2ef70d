// What a host is and offers to servers, under the names that flavors and images ask for (os-traits).

/** Flags of x86 processors in /proc/cpuinfo, and what follows HW_CPU_X86_ in the trait. */
const X86_FLAGS: Readonly<Record<string, string>> = {
  '3dnow': '3DNOW',
  abm: 'ABM',
  aes: 'AESNI',
  avx: 'AVX',
  avx2: 'AVX2',
  avx512_bitalg: 'AVX512BITALG',
  avx512_vbmi2: 'AVX512VBMI2',
  avx512_vnni: 'AVX512VNNI',
  avx512_vpopcntdq: 'AVX512VPOPCNTDQ',
  avx512bw: 'AVX512BW',
  avx512cd: 'AVX512CD',
  avx512dq: 'AVX512DQ',
  avx512er: 'AVX512ER',
  avx512f: 'AVX512F',
  avx512ifma: 'AVX512IFMA',
  avx512pf: 'AVX512PF',
  avx512vbmi: 'AVX512VBMI',
  avx512vl: 'AVX512VL',
  bmi1: 'BMI',
  bmi2: 'BMI2',
  f16c: 'F16C',
  fma: 'FMA3',
  fma4: 'FMA4',
  mmx: 'MMX',
  pclmulqdq: 'CLMUL',
  pdpe1gb: 'PDPE1GB',
  pni: 'SSE3',
  rtm: 'TSX',
  sha_ni: 'SHA',
  sse: 'SSE',
  sse2: 'SSE2',
  sse4_1: 'SSE41',
  sse4_2: 'SSE42',
  sse4a: 'SSE4A',
  ssse3: 'SSSE3',
  svm: 'SVM',
  tbm: 'TBM',
  vmx: 'VMX',
  xop: 'XOP',
};

/** Of libvirt's names of architectures, those that have a trait. */
const ARCHITECTURES = ['aarch64', 'i686', 'ppc64', 'ppc64le', 's390x', 'x86_64'];

/** What holds for servers on every host: what they boot from, and the devices they get. */
const ALWAYS = [
  'COMPUTE_IMAGE_TYPE_QCOW2',
  'COMPUTE_IMAGE_TYPE_RAW',
  'COMPUTE_NET_ATTACH_INTERFACE',
  'COMPUTE_NET_VIF_MODEL_VIRTIO',
  'COMPUTE_NODE',
  'COMPUTE_STORAGE_BUS_VIRTIO',
];

export interface HostFacts {
  /** libvirt's name. */
  readonly arch: string;
  /** Of a core. */
  readonly threads: number;
  /** /proc/cpuinfo. */
  readonly cpuinfo: string;
  /** Whether guests run on the processor itself, and so have what it has. */
  readonly kvm: boolean;
}

/** The traits of a host, in order. */
export function hostTraits({ arch, threads, cpuinfo, kvm }: HostFacts): string[] {
  const flags = (/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? '').split(/\s+/);
  const features = kvm ? flags.flatMap((flag) => X86_FLAGS[flag] ?? []) : [];
  return [
    ...ALWAYS,
    ...(ARCHITECTURES.includes(arch) ? [`HW_ARCH_${arch.toUpperCase()}`] : []),
    ...(threads > 1 ? ['HW_CPU_HYPERTHREADING'] : []),
    ...features.map((name) => `HW_CPU_X86_${name}`),
  ].sort();
}
