# What facts about this machine mean for the cloud, in words: pure functions that print LEVEL, SUBJECT and TEXT with tabs between,
# LEVEL being ok, warn, problem or unknown. doctor.sh finds the facts. Sourced.
# shellcheck shell=sh disable=SC2154 # self is set by cumulet

# MiB: packages about 600, node_modules and build 500, images and servers the rest.
DISK_NEEDED=3000
# MiB: with less, something was written in part.
# shellcheck disable=SC2034 # used by build.sh
ROOM_LEFT=20
# MiB for the cloud and a first server; and for a cloud that is there.
MEMORY_NEEDED=1000
MEMORY_LEFT=200
# IPv6 needs packages of 1280 bytes, and tenants' networks have 50 less than the uplink.
MTU_NEEDED=1330
# Of libvirt: that of Ubuntu 22.04.
LIBVIRT_NEEDED=8

verdict() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }

# judge_distribution NAME ID VERSION MACHINE APT: Debian 12 and Ubuntu 22.04 or newer on x86-64; APT: whether apt-get is there.
judge_distribution() {
  case $2 in
    debian) oldest=12 version=$3 ;;
    ubuntu) oldest=2204 version=$(echo "$3" | tr -d .) ;;
    *) oldest=0 version=none ;;
  esac
  if ! [ "$version" -ge "$oldest" ] 2> /dev/null; then
    verdict problem distribution "$1 is not supported: cumulet runs on Debian 12 or newer and on Ubuntu 22.04 or newer"
  elif [ "$4" != x86_64 ]; then
    verdict problem distribution "this machine is $4; only x86-64 (amd64) is supported"
  elif [ "$5" != yes ]; then
    verdict problem distribution "apt-get is not there, but $1 should have it: packages cannot be installed"
  else
    verdict ok distribution "$1 on $4"
  fi
}

# judge_node PATH VERSION REFUSAL: PATH is empty where none is new enough, which REFUSAL then tells.
judge_node() {
  if [ -z "$1" ]; then verdict problem Node.js "$3"; else verdict ok Node.js "$2 at $1"; fi
}

# judge_npm NODE NPM FIRST: FIRST (yes or no, here and below): whether this machine has no cloud yet.
judge_npm() {
  if [ -n "$2" ]; then
    verdict ok npm "$2"
  elif [ "$3" = yes ]; then
    verdict problem npm "npm is not there beside $1: install it (Debian: apt install npm), or Node.js from https://nodejs.org/en/download"
  else
    verdict warn npm "npm is not there beside $1, and an upgrade needs it: install it (Debian: apt install npm)"
  fi
}

# judge_packages MANAGER BROKEN [MISSING...]: MANAGER: whether there is dpkg; BROKEN: its first complaint about an interrupted run.
judge_packages() {
  manager=$1 broken=$2
  shift 2
  if [ "$manager" != yes ]; then
    verdict unknown packages "dpkg-query is not there to ask which packages are installed"
  elif [ -n "$broken" ]; then
    verdict warn packages "dpkg was interrupted once, and some packages are half installed: sudo dpkg --configure -a (up does it)"
  elif [ $# -gt 0 ]; then
    verdict ok packages "$# are missing, and up installs them: $*"
  else
    verdict ok packages "all are installed"
  fi
}

# judge_virtualization FLAG DEVICE OPENS: FLAG is vmx, svm or empty; DEVICE: whether /dev/kvm is there; OPENS: yes, no, or denied
# to somebody who is not root. The device alone can be there without hardware behind it.
judge_virtualization() {
  slow="servers are emulated and much slower"
  case "${1:-none} $2 $3" in
    "none yes "*) verdict warn virtualization "/dev/kvm is there but the processor has no vmx or svm flag, so it cannot be used: $slow" ;;
    "none "*) verdict warn virtualization "no hardware virtualization here (no vmx or svm flag): $slow; on a virtual machine, let its host pass it on" ;;
    *" no "*) verdict warn virtualization "the processor has $1 but /dev/kvm is not there (module kvm not loaded, or off in the firmware): $slow" ;;
    *" yes") verdict ok virtualization "KVM, with the processor's $1" ;;
    *" denied") verdict unknown virtualization "the processor has $1 and /dev/kvm is there; only root can see whether it opens" ;;
    *) verdict warn virtualization "/dev/kvm is there but does not open, not even for root: $slow" ;;
  esac
}

# judge_memory AVAILABLE TOTAL FIRST: in MiB.
judge_memory() {
  if [ "$3" = yes ] && [ "$1" -lt "$MEMORY_NEEDED" ]; then
    verdict problem memory "only $1 of $2 MiB of memory are available; $MEMORY_NEEDED are needed for the cloud and a first server: end other programs or add memory"
  elif [ "$1" -lt "$MEMORY_LEFT" ]; then
    verdict warn memory "only $1 of $2 MiB of memory are available: new servers may not start"
  else
    verdict ok memory "$1 of $2 MiB are available"
  fi
}

# judge_disk DIRECTORY FREE FIRST: in MiB. A cloud that is there starts, and goes, on a full disk as well.
judge_disk() {
  if [ "$2" -ge "$DISK_NEEDED" ]; then
    verdict ok disk "$2 MiB are free in $1"
  elif [ "$3" = yes ]; then
    verdict problem disk "only $2 MiB are free in $1, and $DISK_NEEDED MiB are needed for packages, build and servers: make room there"
  else
    verdict warn disk "only $2 MiB are free in $1: new images and servers may find no room"
  fi
}

# judge_port ADDRESS PORT HOLDER OURS: HOLDER is empty where nobody listens; OURS: whether that is this cloud.
judge_port() {
  if [ -z "$3" ]; then
    verdict ok port "$2 on $1 is free"
  elif [ "$4" = yes ]; then
    verdict ok port "$2 on $1 is the cloud's own, $3"
  else
    verdict problem port "port $2 on $1 is in use by $3, and the API listens there: stop that program first"
  fi
}

# judge_clock SYNCHRONIZED: yes, no, or empty where nobody tells.
judge_clock() {
  case $1 in
    yes) verdict ok clock "the clock is synchronized" ;;
    no) verdict warn clock "the clock is not synchronized: certificates and logs go by it; switch it on (timedatectl set-ntp true, or install chrony)" ;;
    *) verdict unknown clock "timedatectl does not tell whether it is synchronized" ;;
  esac
}

# judge_resolver FILE FIRST [SERVER...]: the host's name servers, which servers ask too.
judge_resolver() {
  file=$1 first=$2
  shift 2
  if [ $# -gt 0 ]; then
    verdict ok resolver "$* (from $file)"
  else
    if [ "$first" = yes ]; then level=problem; else level=warn; fi
    verdict $level resolver "$file names no name server, so neither this machine nor its servers can look up names: add one"
  fi
}

# judge_mtu INTERFACE MTU: of the default route; empty where there is none.
judge_mtu() {
  if [ -z "$1" ] || [ -z "$2" ]; then
    verdict unknown uplink "no default route: this machine and its servers reach nothing outside its own networks"
  elif [ "$2" -lt "$MTU_NEEDED" ]; then
    verdict warn uplink "packets on $1 have $2 bytes at most: below $MTU_NEEDED servers have no IPv6, and some sites do not answer them"
  else
    verdict ok uplink "$1, packets of $2 bytes"
  fi
}

# judge_firewall UFW FIREWALLD DOCKER POLICY: yes or no each; POLICY is that of the chain FORWARD, or empty if it can't be seen.
judge_firewall() {
  allowed="servers are not concerned, as the cloud accepts their packets itself"
  if [ "$1" = yes ]; then
    verdict ok firewall "ufw is active: $allowed; for other machines to reach the API: ufw allow $API_PORT/tcp"
  fi
  if [ "$2" = yes ]; then
    verdict ok firewall "firewalld runs: the cloud asks it to let servers through (zone libvirt-routed); for other machines to reach the API: firewall-cmd --add-port=$API_PORT/tcp"
  fi
  case "$3 $4" in
    "yes DROP") verdict ok firewall "Docker has set the policy of FORWARD to DROP: $allowed" ;;
    "no DROP") if [ "$1" = no ]; then verdict ok firewall "the policy of FORWARD is DROP: $allowed"; fi ;;
    "yes "*) verdict ok firewall "Docker is here: its rules and the cloud's do not touch each other" ;;
    *" ") verdict unknown firewall "only root can see the policy of FORWARD, and only with iptables installed" ;;
    *) if [ "$1 $2" = "no no" ]; then verdict ok firewall "nobody else's that is known"; fi ;;
  esac
}

# judge_libvirt VERSION LISTENS FIRST: VERSION is empty where it is not installed.
judge_libvirt() {
  if [ -z "$1" ]; then
    verdict ok libvirt "not installed yet; up installs it"
  elif [ "${1%%.*}" -lt "$LIBVIRT_NEEDED" ] 2> /dev/null; then
    verdict warn libvirt "version $1 is older than any that was tried with the cloud ($LIBVIRT_NEEDED)"
  elif [ "$2" = yes ]; then
    verdict ok libvirt "version $1, its socket answers"
  elif [ "$3" = yes ]; then
    verdict ok libvirt "version $1, not running; up starts it"
  else
    verdict warn libvirt "version $1 is installed but nobody answers on its socket, so servers can't be started: sudo $self up starts it"
  fi
}
