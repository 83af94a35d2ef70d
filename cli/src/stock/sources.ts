// Where the makers of systems keep their images for clouds, and the checksums beside them (x86_64).

/** One image. The checksum is in a file beside it, as sha256sum or sha512sum write it, in one of their two forms. */
export interface Source {
  readonly url: string;
  readonly checksums: string;
  /** Properties of the image: which system it is, and whom it lets in. */
  readonly os_distro: string;
  readonly os_version: string;
  readonly os_admin_user: string;
}

function source(
  directory: string,
  file: string,
  sums: string,
  system: readonly [string, string, user?: string],
): Source {
  const [os_distro, os_version, os_admin_user = os_distro] = system;
  const url = `https://${directory}/${file}`;
  return { url, checksums: `https://${directory}/${sums}`, os_distro, os_version, os_admin_user };
}

const debian = (version: string, name: string): Source =>
  source(`cloud.debian.org/images/cloud/${name}/latest`, `debian-${version}-genericcloud-amd64.qcow2`, 'SHA512SUMS', [
    'debian',
    version,
  ]);
const ubuntu = (version: string, name: string): Source =>
  source(`cloud-images.ubuntu.com/${name}/current`, `${name}-server-cloudimg-amd64.img`, 'SHA256SUMS', [
    'ubuntu',
    version,
  ]);
const centos = 'CentOS-Stream-GenericCloud-9-latest.x86_64.qcow2';

/** By the name that they are added by. Whose makers publish MD5 sums only (CirrOS) is not among them. */
export const SOURCES: ReadonlyMap<string, Source> = new Map([
  ['debian-12', debian('12', 'bookworm')],
  ['debian-13', debian('13', 'trixie')],
  ['ubuntu-22.04', ubuntu('22.04', 'jammy')],
  ['ubuntu-24.04', ubuntu('24.04', 'noble')],
  [
    'rocky-9',
    source('dl.rockylinux.org/pub/rocky/9/images/x86_64', 'Rocky-9-GenericCloud-Base.latest.x86_64.qcow2', 'CHECKSUM', [
      'rocky',
      '9',
    ]),
  ],
  [
    'almalinux-9',
    source(
      'repo.almalinux.org/almalinux/9/cloud/x86_64/images',
      'AlmaLinux-9-GenericCloud-latest.x86_64.qcow2',
      'CHECKSUM',
      ['almalinux', '9'],
    ),
  ],
  [
    'centos-stream-9',
    source('cloud.centos.org/centos/9-stream/x86_64/images', centos, `${centos}.SHA256SUM`, [
      'centos',
      '9',
      'cloud-user',
    ]),
  ],
  // The name has the number of a build, so that it moves with every release.
  [
    'fedora-43',
    source(
      'dl.fedoraproject.org/pub/fedora/linux/releases/43/Cloud/x86_64/images',
      'Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2',
      'Fedora-Cloud-43-1.6-x86_64-CHECKSUM',
      ['fedora', '43'],
    ),
  ],
]);

/** The same file on a web server of one's own, which has it under host and path as wget -x writes them. */
export const mirrored = (url: string, mirror: string): string =>
  `${mirror.replace(/\/+$/, '')}/${url.replace(/^https:\/\//, '')}`;
