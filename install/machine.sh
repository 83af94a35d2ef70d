# What every command asks of this machine before it does anything: root, and what the doctor's checks find. Sourced.
# shellcheck shell=sh disable=SC2154 # state and the names of other parts are set by the callers

# shellcheck disable=SC2034 # used by cloud.sh and doctor.sh
API_PORT=5000

# need_root COMMAND
need_root() {
  if [ "$(id -u)" != 0 ]; then
    echo "cumulet: \"$1\" makes bridges, namespaces and servers, so it needs root: sudo $self $1" >&2
    exit 1
  fi
}

# task_machine: problems end the run, warnings are kept for the last screen. What only a new cloud needs is asked by up alone.
task_machine() {
  checks=distribution
  if [ "${starts_cloud-}" = yes ]; then checks=$UP_CHECKS; fi
  # shellcheck disable=SC2086 # a list of names
  examine $checks > "$state/verdicts"
  cat "$state/verdicts"
  problems=$(texts problem < "$state/verdicts")
  [ -z "$problems" ] || fail "$problems"
  texts warn < "$state/verdicts" | while read -r text; do warn "$text"; done
  how="no KVM: QEMU emulation"
  if check_virtualization | grep -q '^ok'; then how=KVM; fi
  detail "$(texts ok < "$state/verdicts" | head -n 1), $(nproc) CPUs, $how"
}
