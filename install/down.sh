# cumulet down: stops the cloud and leaves its servers running; --purge removes everything it made. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self, state are set by cumulet

guest_logs=/var/log/libvirt/qemu

down_usage() {
  cat << TEXT
usage: sudo $self down [--purge [--packages] [--yes]]

  --purge      remove the cloud: servers, networks, data, logs and configuration. It is listed first, and on a terminal asked for
  --packages   with --purge: remove the Debian packages too that up and test have installed; those that were there before stay
  --yes        with --purge: don't ask

example: sudo $self down --purge --packages
TEXT
}

# down_options ARGUMENT...: sets purge, drop_packages and yes; each is empty or "yes".
down_options() {
  purge='' drop_packages='' yes=''
  for word in "$@"; do
    case $word in
      --purge) purge=yes ;;
      --packages) drop_packages=yes ;;
      --yes | -y) yes=yes ;;
      --help | -h)
        down_usage
        exit 0
        ;;
      *)
        echo "cumulet: down does not know $word: see cumulet down --help" >&2
        exit 2
        ;;
    esac
  done
  if [ -z "$purge" ] && [ -n "$drop_packages$yes" ]; then
    echo "cumulet: --packages and --yes go with --purge: see cumulet down --help" >&2
    exit 2
  fi
}

# paths_there PATH...: those that exist, in one line.
paths_there() {
  for each in "$@"; do
    if [ -e "$each" ]; then printf '%s ' "$each"; fi
  done
}

# belongings: everything that a purge removes, a line each. What is on the host was found by task_list.
belongings() {
  cat "$state/list" 2> /dev/null || :
  there=$(paths_there "$unit_file")
  if [ -n "$there" ]; then echo "unit: $there"; fi
  there=$(paths_there "$config_dir")
  if [ -n "$there" ]; then echo "configuration: $there"; fi
  there=$(paths_there "$data_dir" "$cache_dir" "$run_dir")
  if [ -n "$there" ]; then echo "data, images and backups: $there"; fi
  echo "logs: $(paths_there "$log_dir" "$guest_logs"/cumulet-*)"
  if grep -qsF "$QEMU_MARK" "$qemu_conf"; then echo "our lines in $qemu_conf"; fi
  if [ -e "$run_dir/opened_kvm" ]; then echo "what the group kvm may do with $kvm_device"; fi
  if [ -n "$drop_packages" ]; then
    count=$(our_packages | wc -l)
    if [ "$count" != 0 ]; then echo "packages ($count): $(our_packages | tr '\n' ' ')"; fi
  fi
}

# confirmed: nobody is asked without a terminal, as in scripts.
confirmed() {
  if [ -n "$yes" ] || [ ! -t 0 ] || [ ! -t 1 ]; then return 0; fi
  printf 'Remove all of this? [y/N] '
  read -r answer || answer=
  case $answer in y | Y | yes) ;; *) return 1 ;; esac
}

# moved_data: the data_dir of a configuration that names another one. It is the administrator's to empty: a purge removes no directory
# whose name it did not give.
moved_data() {
  sed -nE "s/^data_dir:[[:space:]]*[\"']?([^\"'#]*[^\"'#[:space:]]).*/\1/p" "$config_dir/cumulet.yaml" 2> /dev/null | grep -vxF "$data_dir" || :
}

# purge_cloud: says what it removes, and removes it. node_modules and the build in the checkout stay.
purge_cloud() {
  configured=
  if [ -e "$config_dir/cumulet.yaml" ]; then
    configured=yes
    export build_targets="standalone cli"
    for each in machine compiler modules packages compile build list; do start_task "$each"; done
    await_task build "Build"
    await_task compile "Database library"
    await_task list "What is here"
  fi
  echo "This is removed:"
  belongings | sed 's/ *$//; s/^/  /'
  if ! confirmed; then
    echo "Nothing was removed."
    exit 1
  fi
  if [ -n "$configured" ]; then
    start_task purge
    await_task purge "Cloud"
  fi
  remove_unit
  leave_libvirt
  if [ -n "$drop_packages" ]; then
    start_task removal
    await_task removal "Packages"
  fi
  left=$(our_packages | tr '\n' ' ')
  moved=$(moved_data)
  rm -rf "$data_dir" "$config_dir" "$run_dir" "$cache_dir" "$log_dir" "$guest_logs"/cumulet-*
  rm -f "$lock_file" "$packages_file"
  echo "The cloud is removed: servers, networks, data, logs, configuration and the entries in clouds.yaml."
  echo "What stays: the ssh key of your account, and node_modules and dist in $root."
  if [ -n "$moved" ]; then echo "The data that your configuration has put into $moved stays there too."; fi
  if [ -n "$left" ]; then echo "Packages that were installed for it stay too; to remove them: sudo apt-get purge ${left% }"; fi
}

# What is on the host, and in people's files.
task_list() {
  after packages compile build
  start_libvirt
  {
    "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" --list &&
      "$node" "$root/cli/dist/up/main.js" entries --config "$config_dir"
  } > "$state/list" 2> "$state/list.error" ||
    fail "what is here can not be told: $(grep . "$state/list.error" | tail -n 1)"
}

task_purge() {
  progress "stopping"
  stop_process
  progress "removing servers and networks"
  "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" --purge 2> "$state/purge" ||
    fail "not everything could be removed: $(grep . "$state/purge" | tail -n 1) (run it again when that is repaired)"
  "$node" "$root/cli/dist/up/main.js" forget --config "$config_dir" 2> "$state/purge" || fail "$(sed 's/^cumulet: //' "$state/purge")"
}

run_down() {
  down_options "$@"
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
