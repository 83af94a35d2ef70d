#!/bin/sh
# Builds the demo guest "tiny": a BIOS-bootable compressed qcow2 from the distribution's own packages.
#   images/tiny/build.sh OUT.qcow2 [WORKDIR]
# Packages are fetched with "apt-get download" and unpacked into WORKDIR, where they stay: a second build needs no network.
# Nothing is installed or mounted; qemu-img and mke2fs must be there, and what unpacks the kernel's modules: Debian 13 has
# them as .xz, Ubuntu as .zst.
set -eu
umask 022
export LC_ALL=C MTOOLS_SKIP_CHECK=1 PATH="$PATH:/usr/sbin:/sbin"

recipe=$(cd "$(dirname "$0")" && pwd)
BOOT_MB=24
ROOT_MB=32
# What runs in the guest, and what makes its boot sector and boot filesystem.
GUEST="busybox-static dropbear-bin libtomcrypt1 libtommath1 libgmp10 libcrypt1 zlib1g libc6 e2fsprogs"
TOOLS="syslinux syslinux-common mtools dosfstools"
MODULES="virtio_pci virtio_rng virtio_blk virtio_net virtio_balloon virtio_scsi sd_mod sr_mod ahci ata_piix isofs vfat
  nls_ascii nls_cp437 nls_utf8 button evdev"

die() {
  echo "build.sh: $*" >&2
  exit 1
}

# kernel_packages: the packages behind the distribution's small kernel (Debian: cloud, Ubuntu: virtual).
kernel_packages() {
  for meta in linux-image-cloud-amd64 linux-image-virtual; do
    image=$(apt-cache depends "$meta" 2> /dev/null | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
    [ -n "$image" ] || continue
    echo "$image"
    apt-cache depends "$image" | awk '/Depends: linux-modules-[0-9]/ {print $2; exit}'
    return 0
  done
  die "apt knows neither linux-image-cloud-amd64 nor linux-image-virtual: run apt-get update and try again"
}

# download: the packages, once; the list is written last, so an interrupted download is taken up again.
download() {
  wanted="$GUEST $TOOLS"
  [ "$(cat "$work/packages" 2> /dev/null)" != "$wanted" ] || return 0
  command -v apt-get > /dev/null || die "apt-get not found: the image is built from Debian or Ubuntu packages"
  rm -rf "$work/guest" "$work/tools" "$work/kernel" "$work/packages" "$work/debs"
  mkdir -p "$work/debs"
  kernel=$(kernel_packages)
  # The libraries of resize2fs are named differently from release to release.
  GUEST="$GUEST $(apt-cache depends e2fsprogs | awk '/Depends: lib/ {print $2}' | sort -u | tr '\n' ' ')"
  # shellcheck disable=SC2086 # lists of names
  (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download $GUEST $TOOLS $kernel) ||
    die "apt-get could not download the packages (messages above): is the network there, was apt-get update run?"
  echo "$GUEST" > "$work/guest.packages"
  echo "$TOOLS" > "$work/tools.packages"
  echo "$kernel" > "$work/kernel.packages"
  echo "$wanted" > "$work/packages"
}

# unpack DIRECTORY PACKAGE...
unpack() {
  into=$work/$1
  shift
  [ ! -e "$into/.complete" ] || return 0
  mkdir -p "$into"
  for package in "$@"; do dpkg -x "$work/debs/$package"_*.deb "$into"; done
  : > "$into/.complete"
}

# module_file NAME: its path in the kernel package; the name may be spelled with - or _.
module_file() {
  find "$modules" -name "$(echo "$1" | sed 's/[-_]/[-_]/g').ko*" | head -n 1
}

# add_module NAME: the module after those it depends on, unpacked, in the order to load them. Built-in ones have no file.
add_module() {
  [ ! -e "$tmp/initrd/modules/$1.ko" ] || return 0
  file=$(module_file "$1")
  [ -n "$file" ] || return 0
  case $file in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *) cat "$file" ;;
  esac > "$tmp/initrd/modules/$1.ko"
  for need in $(tr '\0' '\n' < "$tmp/initrd/modules/$1.ko" | sed -n 's/^depends=//p' | tr , ' '); do
    (add_module "$need")
  done
  echo "$1.ko" >> "$tmp/initrd/modules/order"
}

make_initrd() {
  mkdir -p "$tmp/initrd/bin" "$tmp/initrd/dev" "$tmp/initrd/proc" "$tmp/initrd/sys" "$tmp/initrd/mnt" "$tmp/initrd/modules"
  cp "$busybox" "$tmp/initrd/bin/busybox"
  install -m 755 "$recipe/init" "$tmp/initrd/init"
  for module in $MODULES; do add_module "$module"; done
  (cd "$tmp/initrd" && find . | "$busybox" cpio -o -H newc -R 0:0 2> /dev/null | gzip -9) > "$tmp/initrd.gz"
}

# add_libraries BINARY...: what the binaries link to, found by the guest's own loader.
add_libraries() {
  loader=$(echo "$work"/guest/lib64/ld-linux-*)
  [ -e "$loader" ] || loader=$(echo "$work"/guest/usr/lib64/ld-linux-*)
  at=$work/guest
  path=$at/lib/x86_64-linux-gnu:$at/usr/lib/x86_64-linux-gnu
  for binary in "$@"; do "$loader" --library-path "$path" --list "$binary"; done > "$tmp/libraries"
  ! grep 'not found' "$tmp/libraries" || die "the package of that library is missing in the list GUEST"
  sed -n 's/.*=> \([^ ]*\) .*/\1/p' "$tmp/libraries" | sort -u | while read -r library; do
    case $library in
      */ld-linux-*) ;;
      *) cp -L "$library" "$tmp/root/lib/" ;;
    esac
  done
  cp -L "$loader" "$tmp/root/lib64/$(basename "$loader")"
}

make_root() {
  root=$tmp/root
  (mkdir -p "$root" && cd "$root" && mkdir -p bin sbin dev proc sys tmp run mnt www lib lib64 home usr/bin usr/sbin \
    root/.ssh etc/dropbear etc/acpi/PWRF var/log var/lib/tiny)
  chmod 700 "$root/root" "$root/root/.ssh"
  cp "$busybox" "$root/bin/busybox"
  for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  ln -s ../bin/busybox "$root/sbin/init"
  cp "$work/guest/usr/sbin/dropbear" "$work/guest/usr/bin/dropbearkey" "$root/usr/bin/"
  cp "$(find "$work/guest" -name resize2fs -type f)" "$root/usr/bin/"
  add_libraries "$root/usr/bin/dropbear" "$root/usr/bin/dropbearkey" "$root/usr/bin/resize2fs"
  for name in rc ready console udhcpc.sh; do install -m 755 "$recipe/$name" "$root/etc/$name"; done
  for name in inittab say metadata.sh json.awk; do install -m 644 "$recipe/$name" "$root/etc/$name"; done
  install -m 755 "$recipe/powerbutton" "$root/etc/acpi/PWRF/00000080"
  echo "root:$("$busybox" mkpasswd -m sha256 -S tinytinytinytiny tiny):0:0:root:/root:/bin/sh" > "$root/etc/passwd"
  echo root:x:0: > "$root/etc/group"
  echo /bin/sh > "$root/etc/shells"
  echo tiny > "$root/etc/hostname"
  echo '127.0.0.1 localhost' > "$root/etc/hosts"
  mke2fs -q -t ext4 -b 4096 -J size=4 -O '^metadata_csum,^64bit' -m 0 -L tinyroot -E root_owner=0:0 -d "$root" "$tmp/root.ext4" "${ROOT_MB}M" > "$tmp/mke2fs.log"
}

make_boot() {
  truncate -s "${BOOT_MB}M" "$tmp/boot.fat"
  mkfs.fat -F 16 -n TINYBOOT "$tmp/boot.fat" > /dev/null
  mcopy -i "$tmp/boot.fat" "$vmlinuz" ::/vmlinuz
  mcopy -i "$tmp/boot.fat" "$tmp/initrd.gz" ::/initrd
  mcopy -i "$tmp/boot.fat" "$recipe/syslinux.cfg" ::/syslinux.cfg
  syslinux --install "$tmp/boot.fat"
}

# le32 NUMBER: four bytes, little endian, as printf escapes.
le32() { printf '\\%03o\\%03o\\%03o\\%03o' $(($1 % 256)) $(($1 / 256 % 256)) $(($1 / 65536 % 256)) $(($1 / 16777216)); }

# partition BOOTABLE TYPE START COUNT: one entry of the MBR table (addresses in sectors; CHS fields say "use LBA").
# shellcheck disable=SC2059 # the format is made of escapes
partition() { printf "\\$1\\376\\377\\377\\$2\\376\\377\\377$(le32 "$3")$(le32 "$4")"; }

make_disk() {
  truncate -s $((1 + BOOT_MB + ROOT_MB))M "$tmp/disk"
  {
    dd if="$(find "$work/tools" -name mbr.bin | head -n 1)" bs=440 count=1 conv=sync status=none
    printf 'tiny\0\0'
    partition 200 016 2048 $((BOOT_MB * 2048))
    partition 000 203 $((2048 + BOOT_MB * 2048)) $((ROOT_MB * 2048))
    dd if=/dev/zero bs=32 count=1 status=none
    printf '\125\252'
  } | dd of="$tmp/disk" conv=notrunc status=none
  dd if="$tmp/boot.fat" of="$tmp/disk" conv=notrunc,sparse bs=1M seek=1 status=none
  dd if="$tmp/root.ext4" of="$tmp/disk" conv=notrunc,sparse bs=1M seek=$((1 + BOOT_MB)) status=none
  qemu-img convert -O qcow2 -c "$tmp/disk" "$out.part"
  mv "$out.part" "$out"
}

case $# in 1 | 2) ;; *) die "usage: build.sh OUT.qcow2 [WORKDIR]" ;; esac
out=$1
work=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/cumulet/tiny}
for tool in dpkg qemu-img mke2fs gzip xz zstd; do
  command -v "$tool" > /dev/null || die "$tool not found (Debian packages: qemu-utils, e2fsprogs, xz-utils, zstd)"
done
mkdir -p "$work" "$(dirname "$out")"
work=$(cd "$work" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp" "$out.part"' EXIT
trap 'exit 1' INT TERM HUP
download
# shellcheck disable=SC2046 # lists of names
{
  unpack guest $(cat "$work/guest.packages")
  unpack tools $(cat "$work/tools.packages")
  unpack kernel $(cat "$work/kernel.packages")
}
export PATH="$work/tools/usr/bin:$work/tools/sbin:$work/tools/usr/sbin:$PATH"
busybox=$(find "$work/guest" -name busybox -type f -perm -u+x | head -n 1)
modules=$(echo "$work"/kernel/lib/modules/*)
[ -d "$modules" ] || modules=$(echo "$work"/kernel/usr/lib/modules/*)
vmlinuz=$(echo "$work"/kernel/boot/vmlinuz-*)
if [ ! -d "$modules" ] || [ ! -e "$vmlinuz" ]; then
  die "no single kernel in $work/kernel: remove $work and build again"
fi
make_initrd
make_root
make_boot
make_disk
