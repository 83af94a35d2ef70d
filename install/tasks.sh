# Steps with progress: a task runs beside the others in a session of its own, so that Ctrl-C cannot tear apt apart and a
# failure can end all of them; what it prints goes to the install log. Sourced.
# shellcheck shell=sh disable=SC2154 # self and the names of up.sh are set by the callers

# progress TEXT: shown behind the running step.
progress() { echo "$*" > "$state/$task.progress"; }

# detail TEXT: shown behind the finished step.
detail() { echo "$*" > "$state/$task.detail"; }

# warn TEXT: kept for the end of the last screen.
warn() { echo "$*" >> "$state/warnings"; }

# mark_log, marked_log: what was written to the install log after the mark, by this task and those beside it.
mark_log() { log_start=$(($(wc -l < "$log_dir/install.log") + 1)); }
marked_log() { tail -n "+$log_start" "$log_dir/install.log"; }

# fail TEXT: why the task cannot go on, in words; ends it.
fail() {
  echo "$*" > "$state/$task.error"
  : > "$state/failed"
  exit 1
}

# start_task NAME: runs the function task_NAME in the background.
start_task() {
  date +%s > "$state/$1.start"
  task=$1 state=$state parent=$$ setsid "$self" _task run_task > /dev/null 2>&1 < /dev/null &
  echo $! > "$state/$1.pid"
}

# run_task: the body of the background process.
run_task() {
  exec >> "$log_dir/install.log" 2>&1
  echo "--- $(date '+%F %T') $task"
  trap 'code=$?; date +%s > "$state/$task.end"; echo $code > "$state/$task.code.new"; mv "$state/$task.code.new" "$state/$task.code"' EXIT
  "task_$task"
}

# after NAME...: waits, inside a task, until the others are done; ends quietly when something failed, or nobody is left who
# would tell what comes of it. The wait is not the task's own time.
after() {
  for other in "$@"; do
    until [ -e "$state/$other.code" ]; do
      if [ -e "$state/failed" ] || ! kill -s 0 "$parent" 2> /dev/null; then exit 1; fi
      sleep 0.1
    done
    if [ "$(cat "$state/$other.code")" != 0 ] || ! kill -s 0 "$parent" 2> /dev/null; then exit 1; fi
  done
  date +%s > "$state/$task.start.new"
  mv "$state/$task.start.new" "$state/$task.start"
}

# show NAME TITLE SECONDS TEXT: one line of progress.
show() { printf '  %-26s %4s s  %s' "$2" "$3" "$4"; }

# await_task NAME TITLE: shows the step until it is done; ends everything when it failed.
await_task() {
  pid=$(cat "$state/$1.pid")
  until [ -e "$state/$1.code" ]; do
    if [ -t 1 ]; then
      printf '\r\033[K%s' "$(show "$1" "$2" $(($(date +%s) - $(cat "$state/$1.start"))) "$(cut -c 1-40 "$state/$1.progress" 2> /dev/null)")"
    fi
    if ! kill -0 "$pid" 2> /dev/null && [ ! -e "$state/$1.code" ]; then echo 1 > "$state/$1.code"; fi
    if [ -e "$state/failed" ] && [ ! -e "$state/$1.error" ] && [ ! -e "$state/$1.code" ]; then break; fi
    sleep 0.2
  done
  if [ -t 1 ]; then printf '\r\033[K'; fi
  if [ -e "$state/failed" ] || [ "$(cat "$state/$1.code")" != 0 ]; then give_up "$2"; fi
  show "$1" "$2" $(($(cat "$state/$1.end") - $(cat "$state/$1.start"))) "$(cat "$state/$1.detail" 2> /dev/null)"
  echo
}

# give_up TITLE: says what failed, ends the other tasks (apt is let finish) and leaves.
give_up() {
  if cat "$state"/*.error > "$state/why" 2> /dev/null; then :; else
    echo "$1 ended unexpectedly; the last lines of $log_dir/install.log:" > "$state/why"
    tail -n 5 "$log_dir/install.log" >> "$state/why"
  fi
  printf 'cumulet: ' >&2
  cat "$state/why" >&2
  echo "cumulet: when that is mended, run it again: it goes on from here" >&2
  exit 1
}

# end_tasks: ends every running task with its children; apt gets the time it needs, as half-installed packages help nobody.
end_tasks() {
  for file in "$state"/*.pid; do
    if [ ! -e "$file" ]; then continue; fi
    name=$(basename "$file" .pid)
    if [ -e "$state/$name.code" ]; then continue; fi
    pid=$(cat "$file")
    if [ -e "$state/$name.uninterruptible" ]; then
      echo "cumulet: waiting for apt to finish what it has begun" >&2
      while kill -0 "$pid" 2> /dev/null; do sleep 0.5; done
    else
      kill -s TERM -- "-$pid" 2> /dev/null || continue
      tries=0
      while kill -s 0 -- "-$pid" 2> /dev/null; do
        tries=$((tries + 1))
        if [ $tries = 50 ]; then kill -s KILL -- "-$pid" 2> /dev/null || :; fi
        sleep 0.1
      done
    fi
  done
}
