#!/bin/sh
# Builds a Debian 12 guest from packages, as its cloud images are but for the boot loader: systemd, cloud-init, netplan, sshd.
#   test/guests/debian.sh OUT.qcow2
# As root, with mmdebstrap, qemu-utils and e2fsprogs; nothing is mounted but inside mmdebstrap's own namespace.
set -eu
umask 022
export LC_ALL=C MTOOLS_SKIP_CHECK=1 PATH="$PATH:/usr/sbin:/sbin"

BOOT_MB=64
ROOT_MB=1200
PACKAGES="systemd-sysv,udev,dbus,libpam-systemd,systemd-resolved,systemd-timesyncd,netplan.io,openssh-server,cloud-init,\
cloud-guest-utils,fdisk,e2fsprogs,linux-image-cloud-amd64,initramfs-tools,isc-dhcp-client,iproute2,iputils-ping,netbase,\
ca-certificates,sudo,procps,kmod"
TOOLS="syslinux syslinux-common mtools dosfstools"

die() {
  echo "debian.sh: $*" >&2
  exit 1
}

# shellcheck disable=SC2016 # $1 is for mmdebstrap: the directory it makes
# make_root: the system, without what a server does not read; making a locale would take an emulated one half a minute.
make_root() {
  mmdebstrap --quiet --mode=root --variant=minbase --include="$PACKAGES" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='APT::Install-Recommends "false"' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/resolv.conf"' \
    --customize-hook='ln -s ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"' \
    --customize-hook='echo "LABEL=guestroot / ext4 defaults 0 1" > "$1/etc/fstab"' \
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd systemd-resolved' \
    --customize-hook=': > "$1/etc/machine-id"' \
    --customize-hook='echo "locale: false" > "$1/etc/cloud/cloud.cfg.d/90_locale.cfg"' \
    bookworm "$tmp/root" || die "mmdebstrap failed (messages above): is the Debian mirror reachable?"
  mke2fs -q -t ext4 -L guestroot -d "$tmp/root" "$tmp/root.ext4" "${ROOT_MB}M"
}

make_boot() {
  mkdir "$tmp/debs" "$tmp/tools"
  # shellcheck disable=SC2086 # a list of names
  (cd "$tmp/debs" && apt-get -qq -o APT::Sandbox::User=root download $TOOLS) || die "apt-get could not download $TOOLS"
  for package in "$tmp"/debs/*.deb; do dpkg -x "$package" "$tmp/tools"; done
  export PATH="$tmp/tools/usr/bin:$tmp/tools/sbin:$tmp/tools/usr/sbin:$PATH"
  cat > "$tmp/syslinux.cfg" << END
DEFAULT debian
PROMPT 0
TIMEOUT 0
LABEL debian
 KERNEL /vmlinuz
 INITRD /initrd
 APPEND root=LABEL=guestroot ro console=tty0 console=ttyS0,115200
END
  truncate -s "${BOOT_MB}M" "$tmp/boot.fat"
  mkfs.fat -F 16 -n GUESTBOOT "$tmp/boot.fat" > /dev/null
  mcopy -i "$tmp/boot.fat" "$tmp"/root/boot/vmlinuz-* ::/vmlinuz
  mcopy -i "$tmp/boot.fat" "$tmp"/root/boot/initrd.img-* ::/initrd
  mcopy -i "$tmp/boot.fat" "$tmp/syslinux.cfg" ::/syslinux.cfg
  syslinux --install "$tmp/boot.fat"
}

# make_disk: the root is the last partition, so that the guest can grow it; the guest's own sfdisk makes the table.
make_disk() {
  disk=$tmp/root/disk
  truncate -s $((2 + BOOT_MB + ROOT_MB))M "$disk"
  printf 'label: dos\nstart=1MiB, size=%dMiB, type=e, bootable\nstart=%dMiB, size=%dMiB, type=83\n' \
    "$BOOT_MB" $((1 + BOOT_MB)) "$ROOT_MB" | chroot "$tmp/root" sfdisk --quiet /disk
  dd if="$(find "$tmp/tools" -name mbr.bin | head -n 1)" of="$disk" bs=440 count=1 conv=notrunc status=none
  dd if="$tmp/boot.fat" of="$disk" conv=notrunc,sparse bs=1M seek=1 status=none
  dd if="$tmp/root.ext4" of="$disk" conv=notrunc,sparse bs=1M seek=$((1 + BOOT_MB)) status=none
  qemu-img convert -O qcow2 "$disk" "$out.part"
  mv "$out.part" "$out"
}

[ $# -eq 1 ] || die "usage: debian.sh OUT.qcow2"
out=$1
for tool in mmdebstrap qemu-img mke2fs dpkg apt-get; do
  command -v "$tool" > /dev/null || die "$tool not found (Debian packages: mmdebstrap, qemu-utils, e2fsprogs)"
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp" "$out.part"' EXIT
trap 'exit 1' INT TERM HUP
make_root
make_boot
make_disk
