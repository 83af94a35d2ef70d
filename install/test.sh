# cumulet test: installs what the tests need and runs all of them. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self are set by cumulet

run_test() {
  begin test
  export build_targets="" extra_packages="$TEST_TOOLS"
  echo "Preparing the tests (log: $log_dir/install.log)"
  for each in machine compiler modules packages compile build libvirt; do start_task "$each"; done
  await_task machine "Machine"
  await_task compiler "Compiler"
  await_task modules "Node modules"
  await_task packages "Packages"
  await_task build "Build"
  await_task compile "Database library"
  await_task libvirt "libvirt"
  find_npm
  cd "$root" || exit 1
  # A few servers' disks and databases are too much for a small file system in memory.
  if [ -z "${TMPDIR-}" ] && [ "$(stat -f -c %T /tmp)" = tmpfs ]; then export TMPDIR=/var/tmp; fi
  "$node" test/run.js "$@"
}

task_libvirt() {
  after packages
  start_libvirt
}
