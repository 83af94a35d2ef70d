# cumulet down: stops the cloud and leaves its servers running; --purge removes everything it made. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self are set by cumulet

guest_logs=/var/log/libvirt/qemu

# purge_cloud: servers, networks, rules, data, logs, configuration and the entries in clouds.yaml. The packages stay, as do
# node_modules and the build in the checkout.
purge_cloud() {
  if [ -e "$config_dir/cumulet.yaml" ]; then
    export build_targets="standalone cli"
    for each in machine compiler modules packages compile build purge; do start_task "$each"; done
    await_task build "Build"
    await_task compile "Database library"
    await_task purge "Cloud"
  fi
  remove_unit
  leave_libvirt
  rm -rf "$data_dir" "$config_dir" "$run_dir" "$cache_dir" "$log_dir" "$guest_logs"/cumulet-*
  rm -f "$lock_file"
  echo "The cloud is removed: servers, networks, data, logs, configuration and the entries in clouds.yaml."
  echo "What stays: the Debian packages, the ssh key of your account, and node_modules and dist in $root."
}

task_purge() {
  after packages compile build
  progress "stopping"
  stop_process
  start_libvirt
  progress "removing servers and networks"
  "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" --purge 2> "$state/purge" ||
    fail "not everything could be removed: $(grep . "$state/purge" | tail -n 1) (run it again when that is repaired)"
  "$node" "$root/cli/dist/up/main.js" forget --config "$config_dir" 2> "$state/purge" || fail "$(sed 's/^cumulet: //' "$state/purge")"
}

run_down() {
  purge=
  case ${1-} in
    '') ;;
    --purge) purge=yes ;;
    *)
      echo "cumulet: down knows only --purge, but got: $*" >&2
      exit 2
      ;;
  esac
  begin down
  if [ -n "$purge" ]; then
    purge_cloud
    return 0
  fi
  ran=$(cloud_pid || :)
  stop_process
  if systemd_runs && [ -e "$unit_file" ]; then systemctl -q disable "$unit"; fi
  if [ -n "$ran" ]; then
    echo "The cloud is stopped. Its servers keep running, with their networks; sudo $self up takes them over again."
  else
    echo "The cloud is not running."
  fi
}
