# The cloud's process: a unit where systemd runs the machine, which starts it after a reboot too, else a daemon. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, log_dir and the names of cloud.sh are set by the callers

API_URL=http://127.0.0.1:$API_PORT
systemd_dir=/run/systemd/system
unit=cumulet.service
unit_file=/etc/systemd/system/$unit

# cloud_pid: the process id of our cloud; fails when it does not run. A recycled id is not taken for it.
cloud_pid() {
  pid=$(cat "$run_dir/cumulet.pid" 2> /dev/null) && [ -n "$pid" ] &&
    { tr '\0' ' ' < "/proc/$pid/cmdline"; } 2> /dev/null | grep -q 'standalone/dist/main.js' && echo "$pid"
}

# systemd_runs: it runs this machine.
systemd_runs() { [ -d "$systemd_dir" ]; }

# unit_text: the unit with the paths of this machine, quoted as systemd reads them.
unit_text() {
  # shellcheck disable=SC2016 # sed's own words
  quote() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/[&|\\]/\\&/g'; }
  sed "s|@ROOT@|$(quote "$root")|g; s|@NODE@|$(quote "$node")|g; s|@CONFIG@|$config_dir|g; s|@RUN@|$run_dir|g; s|@LOGS@|$log_dir|g" \
    "$root/systemd/$unit"
}

# install_unit: writes it where it is missing or another one, and has systemd start it with the machine.
install_unit() {
  if [ "$(cat "$unit_file" 2> /dev/null)" != "$(unit_text)" ]; then
    unit_text > "$unit_file"
    systemctl daemon-reload
  fi
  if ! systemctl -q is-enabled "$unit" 2> /dev/null; then systemctl -q enable "$unit"; fi
}

# remove_unit: nothing starts the cloud any more.
remove_unit() {
  if [ ! -e "$unit_file" ]; then return 0; fi
  systemctl -q disable "$unit" 2> /dev/null || :
  rm -f "$unit_file"
  systemctl daemon-reload
  systemctl reset-failed "$unit" 2> /dev/null || :
}

# managed: the process is started by whoever should: systemd, where that runs the machine, by the unit as it is now.
managed() {
  if ! systemd_runs; then return 0; fi
  [ "$(cat "$unit_file" 2> /dev/null)" = "$(unit_text)" ] && systemctl -q is-active "$unit"
}

# start_process: by systemd, which waits until it serves, or as a daemon.
start_process() {
  if systemd_runs; then
    install_unit
    # Why it does not start is in the log.
    systemctl start "$unit" || :
    return 0
  fi
  cd /
  CUMULET_LOG_FILE=$log_dir/cumulet.log setsid "$node" "$root/standalone/dist/main.js" --config "$config_dir/cumulet.yaml" \
    >> "$log_dir/cumulet.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$run_dir/cumulet.pid"
}

# wait_ready: until the API answers, as long as the process lives; 60 s at most.
wait_ready() {
  "$node" -e '
    const [url, pid] = process.argv.slice(1);
    const until = Date.now() + 60_000;
    (async () => {
      while (Date.now() < until) {
        try { process.kill(+pid, 0); } catch { process.exit(2); }
        const answer = await fetch(url + "/healthz").catch(() => undefined);
        if (answer?.status === 200) process.exit(0);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      process.exit(3);
    })();' "$API_URL" "$1"
}

# last_words: why the process ended, as far as its log tells.
last_words() { grep -E 'rror|cumulet-standalone:' "$log_dir/cumulet.log" | tail -n 1; }

# stop_process: asks it to end, insists after 20 s.
stop_process() {
  # One that fails and is started again and again has an id that is never the same.
  if systemd_runs && [ -e "$unit_file" ]; then systemctl stop "$unit"; fi
  pid=$(cloud_pid) || return 0
  kill -TERM "$pid" 2> /dev/null || :
  tries=0
  while cloud_pid > /dev/null; do
    tries=$((tries + 1))
    if [ $tries = 200 ]; then kill -KILL "$pid" 2> /dev/null || :; fi
    sleep 0.1
  done
  rm -f "$run_dir/cumulet.pid"
}

# outdated: the build or the configuration is younger than the running process.
outdated() {
  if [ -n "$(find "$config_dir/cumulet.yaml" -newer "$run_dir/cumulet.pid")" ]; then return 0; fi
  [ -n "$(find "$root" -path '*/node_modules' -prune -o -path '*/dist/*' -newer "$run_dir/cumulet.pid" -type f -name '*.js' -print | head -n 1)" ]
}
