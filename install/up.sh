# cumulet up: from nothing to a booted server; run again, it changes nothing. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, self are set by cumulet

lock_file=/run/cumulet.lock
state_dir=/run/cumulet.state

# wait_for_lock: says who has the lock. The tasks of a run that was killed have it too, until apt and the like have ended.
wait_for_lock() {
  holder=unknown other=command
  read -r other holder < "$lock_file" || :
  if kill -s 0 "$holder" 2> /dev/null; then
    echo "cumulet: \"$other\" runs on this machine already (process $holder): wait for it" >&2
    exit 1
  fi
  echo "Waiting for what an earlier \"$other\" had begun when it was killed"
  flock -w 600 9 || {
    echo "cumulet: it does not end (fuser -v $lock_file shows what runs)" >&2
    exit 1
  }
}

# begin COMMAND: one command at a time on this machine, a place for notes, and tidy ends.
begin() {
  need_root "$1"
  exec 9>> "$lock_file"
  flock -n 9 || wait_for_lock
  echo "$1 $$" > "$lock_file"
  umask 022
  log_dir=/var/log/cumulet
  mkdir -p "$log_dir"
  chmod 750 "$log_dir"
  if [ "$(stat -c %s "$log_dir/install.log" 2> /dev/null || echo 0)" -gt 10485760 ]; then mv "$log_dir/install.log" "$log_dir/install.log.1"; fi
  # What a run left that was killed is this run's.
  rm -rf "$state_dir"
  mkdir -m 700 "$state_dir"
  state=$state_dir
  export state log_dir
  trap 'code=$?; trap - EXIT; end_tasks; own_output || :; rm -rf "$state"; exit $code' EXIT
  trap 'echo >&2; echo "cumulet: interrupted; run it again to go on" >&2; exit 130' INT TERM HUP
}

up_usage() {
  cat << TEXT
usage: sudo $self up [--listen ADDRESS [--cert FILE --key FILE]]
                       [--floating-range FIRST-LAST --floating-interface NAME]

  --listen ADDRESS   let other machines use the cloud: its API listens, with TLS, also on this address or host name of this
                     machine, until another one is given; 127.0.0.1 ends that
  --cert FILE        PEM file with the certificate for that name, instead of one of the cloud's own CA
  --key FILE         PEM file with its key
  --floating-range FIRST-LAST
                     free addresses of the LAN that servers may have as floating IPs; an up without this ends it
  --floating-interface NAME
                     this machine's interface on that LAN; it stays as it is

example: sudo $self up --listen 10.0.0.5 --floating-range 10.0.0.200-10.0.0.220 --floating-interface eth0
TEXT
}

# up_options ARGUMENT...: sets and exports up_listen, up_cert, up_key, up_range and up_interface.
up_options() {
  export up_listen='' up_cert='' up_key='' up_range='' up_interface=''
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h)
        up_usage
        exit 0
        ;;
      --listen | --cert | --key | --floating-range | --floating-interface)
        if [ -z "${2-}" ]; then
          echo "cumulet: $1 needs a value: see cumulet up --help" >&2
          exit 2
        fi
        case $1 in
          --listen) up_listen=$2 ;;
          --floating-range) up_range=$2 ;;
          --floating-interface) up_interface=$2 ;;
          # As the cloud's process, which has another working directory, finds them.
          --cert) up_cert=$(realpath -m -- "$2") ;;
          --key) up_key=$(realpath -m -- "$2") ;;
        esac
        shift 2
        ;;
      *)
        echo "cumulet: up does not know $1: see cumulet up --help" >&2
        exit 2
        ;;
    esac
  done
}

run_up() {
  up_options "$@"
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
