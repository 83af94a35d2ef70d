# Debian packages: only the missing ones are installed, the compiler first because npm waits for it. Sourced.
# shellcheck shell=sh disable=SC2154 # state, task are set by the callers

# What compiling better-sqlite3 takes; what the cloud, its commands and the recipe of the demo image run; and what only the
# tests need.
COMPILER="python3 make g++"
RUNTIME="libvirt-daemon-system qemu-system-x86 qemu-utils dnsmasq-base nftables iptables ipset conntrack iproute2 procps
  kmod openssh-client iputils-ping iputils-arping genisoimage openssl e2fsprogs xz-utils zstd"
# shellcheck disable=SC2034 # used by test.sh
TEST_TOOLS="curl sshpass tcpdump python3-scapy python3-openstackclient python3-osc-placement shellcheck rabbitmq-server
  mariadb-server haproxy chromium"
# What those would start; the tests start their own.
TEST_SERVICES="rabbitmq-server.service epmd.service epmd.socket mariadb.service haproxy.service"

# missing PACKAGE...: those that are not installed.
missing() {
  # shellcheck disable=SC2016 # dpkg's own format
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2> /dev/null | awk '$2 == "installed" {print " " $1 " "}')
  for package in "$@"; do
    case $installed in *" $package "*) ;; *) echo "$package" ;; esac
  done
}

# apt_get ARGUMENT...: never asks, waits for another apt, survives Ctrl-C, reports its percentage.
apt_get() {
  : > "$state/$task.uninterruptible"
  code_file=$state/$task.apt
  mark_log
  { DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o APT::Status-Fd=3 "$@" 3>&1 >> "$log_dir/install.log" 2>&1 \
    || echo $? > "$code_file"; } | while IFS=: read -r kind _ percent what; do
      case $kind in dlstatus | pmstatus) progress "${percent%.*} % $what" ;; esac
    done
  rm -f "$state/$task.uninterruptible"
  [ ! -e "$code_file" ]
}

# What we had apt install, a name a line. Beside data_dir, because a first start that fails takes that back, and packages stay.
packages_file=/var/lib/cumulet.packages

# note_packages PACKAGE...: writes down what apt is about to install anew, dependencies included, so that nothing is forgotten when
# it is cut off. What is upgraded was there before.
note_packages() {
  LC_ALL=C apt-get -q -s --no-install-recommends install "$@" 2> /dev/null |
    awk '$1 == "Inst" && $3 !~ /^\[/ {print $2}' >> "$packages_file"
}

# our_packages: those that we had apt install and that are still there.
our_packages() {
  if [ ! -s "$packages_file" ]; then return 0; fi
  sort -u "$packages_file" > "$state/ours"
  # shellcheck disable=SC2016 # dpkg's own format
  dpkg-query -W -f '${Package} ${db:Status-Status}\n${binary:Package} ${db:Status-Status}\n' 2> /dev/null |
    awk '$2 == "installed" {print $1}' | sort -u | grep -xFf "$state/ours" || :
}

# foreign_needs PACKAGE...: what would go with these packages and is not ours: somebody has installed it since.
foreign_needs() {
  LC_ALL=C apt-get -q -s purge "$@" | awk '$1 == "Purg" || $1 == "Remv" {print $2}' | grep -vxFf "$state/ours" || :
}

# install_packages PACKAGE...
install_packages() {
  # shellcheck disable=SC2046 # a list of names
  set -- $(missing "$@")
  if [ $# = 0 ]; then return 0; fi
  echo "$# $*" >> "$state/packages"
  if [ -n "$(dpkg --audit 2> /dev/null)" ]; then
    DEBIAN_FRONTEND=noninteractive dpkg --configure -a < /dev/null || :
  fi
  unreached=
  if ! apt_lists_known "$@"; then
    apt_get update -o Acquire::Retries=1 || fail "apt-get update failed (network? see $log_dir/install.log): $(apt_said E)"
    # This alone is no failure, as it may be a repository that nothing is wanted from.
    unreached=$(apt_said 'W: Failed to fetch')
  fi
  note_packages "$@"
  apt_get install --no-install-recommends "$@" ||
    fail "apt could not install $*: ${unreached:+package lists could not be fetched (network?): $unreached; }$(apt_said E)"
}

# install_tools PACKAGE...: as install_packages, but none of their services is started, now or at the next boot.
install_tools() {
  policy=/usr/sbin/policy-rc.d
  # shellcheck disable=SC2046 # a list of names
  set -- $(missing "$@")
  if [ $# = 0 ]; then return 0; fi
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\n# made by cumulet test\nexit 101\n' > $policy
    chmod +x $policy
  fi
  install_packages "$@"
  if grep -qs 'made by cumulet test' $policy; then rm -f $policy; fi
  if [ -d /run/systemd/system ]; then
    for service in $TEST_SERVICES; do systemctl disable "$service" >> "$log_dir/install.log" 2>&1 || :; done
  fi
}

# apt_lists_known PACKAGE...: the lists are there, less than a day old, and name all of them.
apt_lists_known() {
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 2> /dev/null | head -n 1)" ] &&
    LC_ALL=C apt-get -q -s --no-install-recommends install "$@" > /dev/null 2>&1
}

# apt_said KIND: apt's first line of this kind since it was last run: what follows is its consequence.
apt_said() { marked_log | sed -n "s/^$1:\{0,1\} //p" | head -n 1; }

task_compiler() {
  after machine
  # shellcheck disable=SC2086 # a list of names
  if ! modules_ready; then install_packages $COMPILER; fi
}

task_packages() {
  after compiler
  # shellcheck disable=SC2086 # lists of names
  install_packages $RUNTIME
  # shellcheck disable=SC2086 # a list of names
  install_tools ${extra_packages-}
  command -v qemu-system-x86_64 > /dev/null || fail "qemu-system-x86_64 is not there: without QEMU no server can run"
  detail "$(awk '{n += $1} END {print n ? n " installed" : "all there"}' "$state/packages" 2> /dev/null || echo "all there")"
}

# task_removal: the packages that we had apt install go, with their configuration, unless something of somebody else's needs them.
task_removal() {
  # shellcheck disable=SC2046 # a list of names
  set -- $(our_packages)
  if [ $# = 0 ]; then return 0; fi
  needed=$(foreign_needs "$@" | tr '\n' ' ')
  if [ -n "$needed" ]; then
    detail "they stay: ${needed% } came later and needs them"
    return 0
  fi
  apt_get purge "$@" || fail "apt could not remove all packages: $(apt_said E)"
  detail "$# removed"
}
