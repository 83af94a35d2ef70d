# What the cloud stands on: libvirt, the configuration; and its start. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, state, log_dir are set by the callers

config_dir=/etc/cumulet
data_dir=/var/lib/cumulet
run_dir=/run/cumulet
daemon_pids=/run
guest_pids=/run/libvirt/qemu
kvm_device=/dev/kvm

# libvirt_answers: somebody listens on its socket.
libvirt_answers() {
  "$node" -e 'require("net").connect("/run/libvirt/libvirt-sock").on("connect", () => process.exit(0)).on("error", () => process.exit(1))'
}

qemu_conf=/etc/libvirt/qemu.conf
QEMU_MARK="# cumulet: control groups are read-only in this container"

# spare_cgroups: in a container that may not make control groups, libvirt is told to do without them.
spare_cgroups() {
  if awk '$3 == "cgroup" && $4 ~ /^ro(,|$)/ {found = 1} END {exit !found}' /proc/mounts && ! grep -q '^cgroup_controllers' "$qemu_conf"; then
    printf '%s\ncgroup_controllers = [ ]\n' "$QEMU_MARK" >> "$qemu_conf"
    warn "control groups are read-only here: $qemu_conf now tells libvirt to do without them"
    reread_qemu_conf
  fi
}

# reread_qemu_conf: a libvirtd that systemd runs takes up the changed file; guests keep running.
reread_qemu_conf() {
  if [ -d /run/systemd/system ]; then systemctl try-restart libvirtd || :; fi
}

# rest_virtlogd: systemd started it for the first guest. Where none runs any more it is not needed; its socket wakes it again.
rest_virtlogd() {
  if ! systemd_runs || [ -n "$(find "$guest_pids" -maxdepth 1 -name '*.pid' 2> /dev/null)" ]; then return 0; fi
  systemctl stop virtlogd.service > /dev/null 2>&1 || :
}

# leave_libvirt: ends the daemons that we started ourselves, and undoes spare_cgroups.
leave_libvirt() {
  if [ -e "$run_dir/opened_kvm" ]; then chown root:root "$kvm_device" && chmod 600 "$kvm_device"; fi
  if [ -e "$run_dir/started_libvirt" ]; then
    for daemon in libvirtd virtlogd; do
      if pid=$(cat "$daemon_pids/$daemon.pid" 2> /dev/null); then kill "$pid" 2> /dev/null || :; fi
    done
  fi
  if grep -qsF "$QEMU_MARK" "$qemu_conf"; then
    sed -i "/^$QEMU_MARK$/,+1d" "$qemu_conf"
    reread_qemu_conf
  fi
  rest_virtlogd
}

# open_kvm: gives /dev/kvm to the group kvm, as udev does where it runs. While QEMU can't open a device that is there, libvirt
# examines QEMU anew at every start of a server, which takes seconds each time.
open_kvm() {
  if [ ! -c "$kvm_device" ] || ! getent group kvm > /dev/null; then return 0; fi
  if [ "$(stat -c %G:%a "$kvm_device")" != root:600 ]; then return 0; fi
  mkdir -p "$run_dir"
  : > "$run_dir/opened_kvm"
  if ! { chgrp kvm "$kvm_device" && chmod 660 "$kvm_device"; }; then warn "$kvm_device is root's alone and can't be given to the group kvm: servers start slowly"; fi
}

# start_libvirt: by systemd where that runs the machine, else the daemons themselves.
start_libvirt() {
  open_kvm
  spare_cgroups
  if libvirt_answers; then return 0; fi
  progress "starting libvirt"
  if [ -d /run/systemd/system ]; then
    systemctl start libvirtd || fail "libvirtd does not start: $(systemctl status libvirtd 2>&1 | tail -n 1) (journalctl -u libvirtd)"
  else
    mkdir -p "$run_dir"
    : > "$run_dir/started_libvirt"
    virtlogd -d 9>&- || :
    libvirtd -d 9>&- || fail "libvirtd does not start: $(tail -n 1 "$log_dir/install.log")"
  fi
  tries=0
  until libvirt_answers; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "libvirtd was started but does not answer on /run/libvirt/libvirt-sock"
    sleep 0.2
  done
}

# absent PATH...: those that are not there.
absent() {
  for each in "$@"; do
    if [ ! -e "$each" ]; then echo "$each"; fi
  done
}

# take_back: after a failed first start, removes what was not there before it ($before, a path a line). The marks in run_dir tell
# what we did to libvirt and /dev/kvm, so that is undone before they go. A password made beside an administrator's own
# cumulet.yaml stays, as that may have led to a database which knows it.
take_back() {
  if ! echo "$before" | grep -qxF "$data_dir"; then return 0; fi
  remove_unit
  # Its agents may have begun with bridges and rules. What can't be removed now is taken over by the next start.
  if [ -e "$config_dir/cumulet.yaml" ]; then
    timeout 60 "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" --purge > /dev/null 2>&1 || :
  fi
  if echo "$before" | grep -qxF "$run_dir"; then leave_libvirt; fi
  echo "$before" | while read -r path; do rm -rf "$path"; done
}

# take_settings: the options of this run become the configuration, if the cloud can run with them; else that stays as it was.
take_settings() {
  draft=$config_dir/cumulet.yaml.draft
  if [ ! -e "$draft" ]; then return 0; fi
  if ! "$node" "$root/standalone/dist/main.js" --config "$draft" --check-config > "$state/notes" 2> "$state/check"; then
    rm -f "$draft"
    take_back
    fail "$(sed "s|^cumulet-standalone: ||; s|^$draft: ||" "$state/check")"
  fi
  sed 1d "$state/notes" | while read -r note; do if [ -n "$note" ]; then warn "$note"; fi; done
  mv "$draft" "$config_dir/cumulet.yaml"
}

# source_version: the commit of the checkout, or the package's number where it is none.
source_version() {
  as_builder git rev-parse --short=12 HEAD 2> /dev/null || "$node" -p 'require(process.argv[1]).version' "$root/package.json"
}

# way_back WAS NOW: how the version is had again that ran before, when it was another one.
way_back() {
  if [ -n "$1" ] && [ "$1" != "$2" ]; then
    echo "; the version before was $1, and servers still run: to go back to it, git checkout $1 and sudo $self up"
  fi
}

# check_successor: one that could not run does not take the place of the process that does.
check_successor() {
  if ! cloud_pid > /dev/null; then return 0; fi
  if ! "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" --check-config > /dev/null 2> "$state/check"; then
    fail "the cloud was not started anew and runs as before: $(sed 's|^cumulet-standalone: ||' "$state/check")"
  fi
}

task_cloud() {
  after packages compile build
  before=$(absent "$data_dir" "$config_dir" "$config_dir/cumulet.yaml" "$run_dir")
  start_libvirt
  mkdir -p "$run_dir" "$data_dir"
  # Of a run that was killed, with that one's options.
  rm -f "$config_dir/cumulet.yaml.draft"
  if ! "$node" "$root/cli/dist/up/main.js" configure --config "$config_dir" --data "$data_dir" --warnings "$state/warnings" \
    --listen "${up_listen-}" --cert "${up_cert-}" --key "${up_key-}" \
    --floating-range "${up_range-}" --floating-interface "${up_interface-}" 2> "$state/configure"; then
    take_back
    fail "no configuration could be written: $(sed 's/^cumulet: //' "$state/configure")"
  fi
  take_settings
  if cloud_pid > /dev/null && managed && ! outdated; then
    wait_ready "$(cloud_pid)" || fail "the cloud runs (process $(cloud_pid)) but its API does not answer: see $log_dir/cumulet.log; sudo $self down stops it"
    detail "runs already"
    return 0
  fi
  check_successor
  progress "starting"
  stop_process
  start_process
  was=$(cat "$data_dir/version" 2> /dev/null || :)
  now=$(source_version)
  if wait_ready "$(cat "$run_dir/cumulet.pid")"; then
    if [ -n "$was" ] && [ "$was" != "$now" ]; then detail "upgraded from $was to $now"; fi
    echo "$now" > "$data_dir/version"
    return 0
  fi
  stop_process
  why=$(last_words)
  take_back
  fail "the cloud did not start (all of it: $log_dir/cumulet.log): $why$(way_back "$was" "$now")"
}
