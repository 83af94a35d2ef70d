# Is this machine fit? Root, distribution, disk, port and virtualization; each "no" says what to do. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, state, data_dir are set by the callers

API_PORT=5000
# MiB: packages about 600, node_modules and build 500, images and servers the rest.
DISK_NEEDED=3000

# need_root COMMAND
need_root() {
  if [ "$(id -u)" != 0 ]; then
    echo "cumulet: \"$1\" makes bridges, namespaces and servers, so it needs root: sudo $self $1" >&2
    exit 1
  fi
}

# check_distribution: Debian 12 and Ubuntu 22.04 or newer on x86-64.
check_distribution() {
  name=unknown
  os_release=${OS_RELEASE:-/etc/os-release}
  if [ -r "$os_release" ]; then
    # shellcheck source=/dev/null
    name=$(. "$os_release" && echo "${PRETTY_NAME:-${ID-unknown}}")
    # shellcheck source=/dev/null
    release=$(. "$os_release" && echo "${ID-} ${VERSION_ID-999}")
  fi
  case ${release-} in
    "debian "*) [ "${release#* }" -ge 12 ] 2> /dev/null || unsupported ;;
    "ubuntu "*) [ "$(echo "${release#* }" | tr -d .)" -ge 2204 ] 2> /dev/null || unsupported ;;
    *) unsupported ;;
  esac
  [ "$(uname -m)" = x86_64 ] || fail "this machine is $(uname -m); only x86-64 (amd64) is supported"
  command -v apt-get > /dev/null || fail "apt-get is not there, but $name should have it: packages cannot be installed"
}

unsupported() { fail "$name is not supported: cumulet runs on Debian 12 or newer and on Ubuntu 22.04 or newer"; }

# check_disk DIRECTORY: room on the filesystem that the directory is (or will be) on.
check_disk() {
  at=$1
  while [ ! -d "$at" ]; do at=$(dirname "$at"); done
  free=$(df -Pm "$at" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$DISK_NEEDED" ] ||
    fail "only $free MiB are free in $at, and $DISK_NEEDED MiB are needed for packages, build and servers: make room there"
}

# check_port: nobody else listens where our API will.
check_port() {
  if cloud_pid > /dev/null; then return 0; fi
  if "$node" -e 'require("net").connect(+process.argv[1], "127.0.0.1").on("connect", () => process.exit(0)).on("error", () => process.exit(1))' "$API_PORT"; then
    holder=$(ss -ltnpH "sport = :$API_PORT" 2> /dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
    fail "port $API_PORT on 127.0.0.1 is in use by ${holder:-another program}, and the API listens there: stop that program first"
  fi
}

# kvm_works: the processor's flags as well as the device; the device alone can be there without hardware behind it.
kvm_works() {
  grep -qE '^flags[[:space:]]*:.* (vmx|svm)( |$)' "${CPUINFO:-/proc/cpuinfo}" && [ -c /dev/kvm ] && (: <> /dev/kvm) 2> /dev/null
}

# check_room: only a first up installs and builds; a cloud that is there starts, and goes, on a full disk as well.
check_room() {
  if [ -e "$data_dir" ]; then return 0; fi
  check_disk "$data_dir"
  check_disk "$root"
}

task_machine() {
  check_distribution
  if [ "${starts_cloud-}" = yes ]; then
    check_room
    check_port
  fi
  memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  [ "$memory" -ge 1000 ] || fail "this machine has $memory MiB of memory; at least 1000 are needed for the cloud and a first server"
  if kvm_works; then
    how="KVM"
  else
    how="no KVM: QEMU emulation"
    warn "no hardware virtualization here (no vmx/svm flag or no /dev/kvm): servers are emulated and much slower"
  fi
  detail "$name, $(nproc) CPUs, $((memory / 1024)) GiB, $how"
}
