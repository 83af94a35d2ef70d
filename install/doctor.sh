# cumulet doctor: what this machine is and lacks for the cloud, in words, before anything is installed: POSIX tools and /proc only.
# Each check finds facts and hands them to its judge. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self and the names of other parts are set by the callers

# Before the paths of the system's own files: a test has others.
machine=
# What `up` asks for; it sees to the rest itself, with its own words.
# shellcheck disable=SC2034 # used by machine.sh
UP_CHECKS="distribution virtualization memory disk ports clock resolver uplink firewall"
ALL_CHECKS="distribution node packages virtualization memory disk ports clock resolver uplink firewall libvirt"

# yes_if COMMAND...: yes or no.
yes_if() { if "$@" > /dev/null 2>&1; then echo yes; else echo no; fi; }

is_root() { [ "$(id -u)" = 0 ]; }

# is_first: this machine has no cloud yet. A disk of its own may be mounted for it already.
is_first() { [ -z "$(find "$data_dir" -mindepth 1 ! -name lost+found -print 2> /dev/null | head -n 1)" ] && [ ! -e "$config_dir/cumulet.yaml" ]; }

check_distribution() {
  release=$machine/etc/os-release
  # shellcheck source=/dev/null
  distribution=$(if [ -r "$release" ]; then . "$release"; fi && printf '%s|%s|%s' "${PRETTY_NAME:-${ID-unknown}}" "${ID-}" "${VERSION_ID-999}")
  rest=${distribution#*|}
  judge_distribution "${distribution%%|*}" "${rest%|*}" "${rest#*|}" "$(uname -m)" "$(yes_if command -v apt-get)"
}

check_node() {
  if ! refusal=$( (find_node) 2>&1); then
    judge_node "" "" "${refusal#cumulet: }"
    return 0
  fi
  find_node
  judge_node "$node" "$("$node" --version)" ""
  judge_npm "$node" "$(npm_path || :)" "$(yes_if is_first)"
}

check_packages() {
  broken=$(dpkg --audit 2> /dev/null | head -n 1) || broken=
  # shellcheck disable=SC2046,SC2086 # lists of names
  judge_packages "$(yes_if command -v dpkg-query)" "$broken" $(missing $COMPILER $RUNTIME)
}

check_virtualization() {
  flag=$(sed -nE 's/^flags[[:space:]]*:.* (vmx|svm)( .*)?$/\1/p' "$machine/proc/cpuinfo" | head -n 1)
  device=$(yes_if [ -c "$machine$kvm_device" ])
  # Opening what is not there would make a file.
  if [ "$device" = yes ] && (: <> "$machine$kvm_device") 2> /dev/null; then opens=yes; elif is_root; then opens=no; else opens=denied; fi
  judge_virtualization "$flag" "$device" "$opens"
}

check_memory() {
  # shellcheck disable=SC2046 # two numbers
  judge_memory $(awk '{sub(":", "", $1); kib[$1] = $2} END {print int(kib["MemAvailable"] / 1024), int(kib["MemTotal"] / 1024)}' "$machine/proc/meminfo") "$(yes_if is_first)"
}

# free_room DIRECTORY: MiB.
free_room() { df -Pm "$1" | awk 'NR == 2 {print $4}'; }

# check_disk: the filesystems that data and checkout are, or will be, on.
check_disk() {
  seen=
  for place in "$data_dir" "$root"; do
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    filesystem=$(df -Pm "$place" | awk 'NR == 2 {print $6}')
    if [ "$filesystem" != "$seen" ]; then judge_disk "$place" "$(free_room "$place")" "$(yes_if is_first)"; fi
    seen=$filesystem
  done
}

# api_addresses: ADDRESS:PORT a line, where the API listens or will: as configured, and as this run's --listen says.
api_addresses() {
  configured=$(sed -nE "s/^[[:space:]]*listen:[[:space:]]*[\"']?([0-9.]+:[0-9]+).*/\1/p" "$config_dir/cumulet.yaml" 2> /dev/null) || configured=
  echo "${configured:-127.0.0.1:$API_PORT}"
  case ${up_listen-} in
    '' | 127.* | *[!0-9.]*) ;;
    *) echo "$up_listen:$API_PORT" ;;
  esac
}

# listener ADDRESS PORT: the socket's inode of whoever keeps others from listening there: on the address, or on all of them.
listener() {
  # shellcheck disable=SC2046,SC2183 # four numbers
  number=$(printf '%02X%02X%02X%02X' $(echo "$1" | awk -F. '{print $4, $3, $2, $1}'))
  awk -v own="$number" -v port="$(printf ':%04X' "$2")" '
    $4 == "0A" && substr($2, length($2) - 4) == port {
      at = substr($2, 1, length($2) - 5)
      if (at == own || at ~ /^0+$/ || at == "0000000000000000FFFF0000" own) {print $10; exit}
    }' "$machine/proc/net/tcp" "$machine/proc/net/tcp6" 2> /dev/null
}

# owner INODE: the id of the process that has this socket open; empty where that can't be seen.
owner() {
  # shellcheck disable=SC2012 # the links of all processes by one command
  ls -l "$machine"/proc/[0-9]*/fd 2> /dev/null | awk -v socket="socket:[$1]" '
    /\/fd:$/ {sub(/\/fd:$/, ""); sub(/.*\//, ""); process = $0}
    $NF == socket {print process; exit}'
}

check_ports() {
  api_addresses | while IFS=: read -r address port; do
    inode=$(listener "$address" "$port")
    holder='' ours=no
    if [ -n "$inode" ]; then
      process=$(owner "$inode")
      if [ -n "$process" ]; then
        holder="$(tr -cd '[:print:]' < "$machine/proc/$process/comm") (process $process)"
        ours=$(yes_if [ "$process" = "$(cloud_pid)" ])
      elif is_root; then
        holder="another program"
      else
        holder="a program that only root can see"
        ours=$(yes_if cloud_pid)
      fi
    fi
    judge_port "$address" "$port" "$holder" "$ours"
  done
}

check_clock() { judge_clock "$(timeout 5 timedatectl show --property NTPSynchronized --value 2> /dev/null || :)"; }

# check_resolver: behind systemd-resolved's own address, the servers that it asks.
check_resolver() {
  file=/etc/resolv.conf
  if grep -qsE '^[[:space:]]*nameserver[[:space:]]+127\.0\.0\.5[34]' "$machine$file" && [ -e "$machine/run/systemd/resolve/resolv.conf" ]; then
    file=/run/systemd/resolve/resolv.conf
  fi
  # shellcheck disable=SC2046 # a list of addresses
  judge_resolver "$file" "$(yes_if is_first)" $(awk '$1 == "nameserver" {print $2}' "$machine$file" 2> /dev/null)
}

# uplink: the interface of the default route with the lowest metric, of IPv4 or else of IPv6.
uplink() {
  awk '$2 == "00000000" && $8 == "00000000" {print $7, $1}' "$machine/proc/net/route" 2> /dev/null | sort -n | awk 'NR == 1 {print $2}' | grep . ||
    awk '$1 ~ /^0+$/ && $2 == "00" && $10 != "lo" {print $10; exit}' "$machine/proc/net/ipv6_route" 2> /dev/null
}

check_uplink() {
  interface=$(uplink) || interface=
  judge_mtu "$interface" "$(cat "$machine/sys/class/net/$interface/mtu" 2> /dev/null || :)"
}

# running NAME: a process of that name, and not in a container: only root can tell that.
running() {
  here=$(readlink "$machine/proc/self/ns/net")
  grep -lxF "$1" "$machine"/proc/[0-9]*/comm 2> /dev/null |
    while read -r found; do readlink "${found%/comm}/ns/net" || echo "$here"; done | grep -qxF "$here"
}

check_firewall() {
  # Unlike iptables -S, this makes no table that is not there.
  policy=$(iptables-save 2> /dev/null | awk '$1 == "*filter" {here = 1} here && $1 == ":FORWARD" {print $2; exit}') || policy=
  if is_root && [ -z "$policy" ] && command -v iptables-save > /dev/null; then policy=ACCEPT; fi
  judge_firewall "$(yes_if grep -qsix 'ENABLED=yes' "$machine/etc/ufw/ufw.conf")" "$(yes_if running firewalld)" "$(yes_if running dockerd)" "$policy"
}

check_libvirt() {
  version=$(libvirtd --version 2> /dev/null | awk '{print $NF}') || version=
  # shellcheck disable=SC2016 # awk's own fields
  listens=$(yes_if awk '$4 == "00010000" && $NF == "/run/libvirt/libvirt-sock" {found = 1} END {exit !found}' "$machine/proc/net/unix")
  judge_libvirt "$version" "$listens" "$(yes_if is_first)"
}

# examine CHECK...: their verdicts, a line each.
examine() { for each in "$@"; do "check_$each"; done; }

# texts LEVEL: of the verdicts on standard input.
texts() { awk -F '\t' -v level="$1" '$1 == level {print $3}'; }

# as_table: folded to a terminal's 80 columns.
as_table() {
  awk -F '\t' '{
    level = $1 == "warn" ? "warning" : $1
    head = sprintf("%-8s %-15s", level, $2)
    count = split($3, words, " ")
    line = words[1]
    for (n = 2; n <= count; n++) {
      if (length(head line words[n]) + 1 < 80) line = line " " words[n]
      else {print head line; head = sprintf("%-24s", ""); line = words[n]}
    }
    print head line
  }'
}

as_json() {
  awk -F '\t' '
    function quoted(text) {gsub(/[\\"]/, "\\\\&", text); return "\"" text "\""}
    {printf "%s\n  {\"level\": %s, \"subject\": %s, \"text\": %s}", NR == 1 ? "[" : ",", quoted($1), quoted($2), quoted($3)}
    END {print "\n]"}'
}

doctor_usage() {
  cat << TEXT
usage: cumulet doctor [-f table|json]

Says whether this machine can run the cloud, and what to mend; changes nothing. up asks the same first.
Levels: ok, warning (the cloud runs, but), problem (up stops), unknown. Exit status 1 if there is a problem.

example: sudo $self doctor
TEXT
}

# counted LEVEL WORD VERDICTS: "2 problems".
counted() { echo "$3" | texts "$1" | awk -v word="$2" 'END {print NR " " word (NR == 1 ? "" : "s")}'; }

# conclusion VERDICTS
conclusion() {
  echo
  if [ -n "$(echo "$1" | texts problem)" ]; then
    echo "$(counted problem problem "$1") to mend before the cloud can run here."
  else
    echo "The cloud can run here ($(counted warn warning "$1"))."
  fi
  if ! is_root && echo "$1" | grep -q 'only root'; then echo "Not everything could be seen: sudo $self doctor sees all."; fi
}

run_doctor() {
  format=table
  while [ $# -gt 0 ]; do
    case "$1 ${2-}" in
      "-f table" | "-f json" | "--format table" | "--format json")
        format=$2
        shift 2
        ;;
      "--help "* | "-h "*)
        doctor_usage
        return 0
        ;;
      *)
        echo "cumulet: doctor does not know $*: see cumulet doctor --help" >&2
        exit 2
        ;;
    esac
  done
  # shellcheck disable=SC2086 # a list of names
  verdicts=$(examine $ALL_CHECKS)
  echo "$verdicts" | "as_$format"
  if [ "$format" = table ]; then conclusion "$verdicts"; fi
  if [ -n "$(echo "$verdicts" | texts problem)" ]; then exit 1; fi
}
