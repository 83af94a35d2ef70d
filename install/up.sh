# cumulet up: from nothing to a booted server; run again, it changes nothing. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self are set by cumulet

lock_file=/run/cumulet.lock

# begin COMMAND: one command at a time on this machine, a place for notes, and tidy ends.
begin() {
  need_root "$1"
  exec 9> "$lock_file"
  flock -n 9 || {
    echo "cumulet: another cumulet up, down or test is running on this machine: wait for it" >&2
    exit 1
  }
  umask 022
  log_dir=/var/log/cumulet
  mkdir -p "$log_dir"
  chmod 750 "$log_dir"
  state=$(mktemp -d)
  export state log_dir
  trap 'code=$?; trap - EXIT; end_tasks; own_output || :; rm -rf "$state"; exit $code' EXIT
  trap 'echo >&2; echo "cumulet: interrupted; run it again to go on" >&2; exit 130' INT TERM HUP
}

run_up() {
  if [ $# -gt 0 ]; then
    echo "cumulet: up takes no arguments, but got: $*" >&2
    exit 2
  fi
  begin up
  export starts_cloud=yes build_targets="standalone cli"
  echo "Bringing up the cloud (log: $log_dir/install.log)"
  for each in machine compiler modules packages compile build image cloud; do start_task "$each"; done
  await_task machine "Machine"
  await_task compiler "Compiler"
  await_task modules "Node modules"
  await_task packages "Packages"
  await_task image "Demo image"
  await_task build "Build"
  await_task compile "Database library"
  await_task cloud "Cloud"
  user=$(calling_user)
  if "$node" "$root/cli/dist/up/main.js" --url "$API_URL" --config "$config_dir" --data "$data_dir" --logs "$log_dir" \
    --image "$cache_dir/tiny.qcow2" --user "$user" --command "$self" --warnings "$state/warnings"; then
    return 0
  fi
  if ! cloud_pid > /dev/null; then echo "cumulet: the cloud's process ended: $(last_words) (all of it: $log_dir/cumulet.log)" >&2; fi
  echo "cumulet: run up again to go on from here" >&2
  exit 1
}
