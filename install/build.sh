# Node modules and the build, as the user the checkout belongs to; and the demo image. Sourced.
# shellcheck shell=sh disable=SC2154 # root, node, state are set by the callers

cache_dir=/var/cache/cumulet

# builder: who makes node_modules and dist: the caller of sudo when the checkout is theirs, else the checkout's owner.
builder() {
  user=$(calling_user)
  if [ "$user" != root ] && runuser -u "$user" -- test -w "$root"; then
    echo "$user"
  else
    stat -c %U "$root" | sed 's/^UNKNOWN$/root/'
  fi
}

# as_builder COMMAND...: in the checkout, with the builder's home for npm's cache.
as_builder() {
  user=$(builder)
  cd "$root" || exit 1
  if [ "$user" = "$(id -un)" ]; then "$@"; else
    runuser -u "$user" -- env HOME="$(home_of "$user")" PATH="$PATH" "$@"
  fi
}

# own_output: gives the builder what root, or an earlier run as somebody else, left in the checkout.
own_output() {
  user=$(builder)
  find "$root" -maxdepth 2 \( -name node_modules -o -name dist \) ! -user "$user" -exec chown -Rh "$user:" {} +
  # Tests run as root, and write into directories that are the builder's already.
  for made in "$root/coverage" "$root/.tmp"; do
    if [ -d "$made" ] && [ -n "$(find "$made" ! -user "$user" -print -quit)" ]; then chown -Rh "$user:" "$made"; fi
  done
}

# lock_digest: what package-lock.json holds, whenever git may have written it.
lock_digest() { sha256sum < "$root/package-lock.json"; }

# modules_ready: node_modules is what package-lock.json says (we made it from the same content, or npm made it after the
# last change), and its compiled part loads with this Node.js.
modules_ready() {
  lock=$root/node_modules/.package-lock.json
  [ -e "$lock" ] && { [ "$(cat "$root/node_modules/.cumulet" 2> /dev/null)" = "$(lock_digest)" ] ||
    [ -z "$(find "$root/package-lock.json" -newer "$lock")" ]; } &&
    (cd "$root" && "$node" -e 'new (require("better-sqlite3"))(":memory:")' 2> /dev/null)
}

# npm_path: beside node or on the PATH.
npm_path() {
  if [ -x "$(dirname "$node")/npm" ]; then echo "$(dirname "$node")/npm"; else command -v npm; fi
}

# find_npm: sets npm.
find_npm() { npm=$(npm_path) || fail "$(judge_npm "$node" "" yes | texts problem)"; }

# run_npm ARGUMENT...: nothing is asked, nothing is fetched but packages.
run_npm() {
  mark_log
  as_builder "$npm" --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-timeout=60000 "$@"
}

task_modules() {
  after machine
  own_output
  if modules_ready; then
    detail "up to date"
    : > "$state/modules_ready"
    return 0
  fi
  find_npm
  progress "npm ci"
  run_npm ci --ignore-scripts || fail "npm ci failed: $(npm_error)"
  # npm says nothing of files that it could write a part of only.
  if [ "$(free_room "$root/node_modules")" -lt "$ROOM_LEFT" ]; then
    rm -f "$root/node_modules/.package-lock.json"
    fail "npm ci filled the disk of $root: make room there ($DISK_NEEDED MiB)"
  fi
}

# npm_error: the cause among npm's last complaints, which come with numbers and stacks around it.
npm_error() {
  marked_log | sed -nE 's/^npm (error|ERR!) +//p' | awk '
    /rror: / {cause = $0; exit}
    other == "" && $1 !~ /^(code|errno|syscall|path|command|gyp|at|A)$/ {other = $0}
    END {print cause != "" ? cause : other}'
}

# Compiles better-sqlite3. With Node's headers at hand it is built from source, so that nothing is fetched from elsewhere.
task_compile() {
  after modules compiler
  if [ -e "$state/modules_ready" ]; then
    detail "up to date"
    return 0
  fi
  find_npm
  prefix=$(dirname "$(dirname "$(readlink -f "$node")")")
  if [ -e "$prefix/include/node/node_api.h" ]; then
    export npm_config_nodedir="$prefix" npm_config_build_from_source=true
  fi
  JOBS=$(nproc)
  export JOBS
  progress "compiling better-sqlite3"
  run_npm rebuild better-sqlite3 || fail "better-sqlite3 could not be compiled: $(npm_error)"
  lock_digest | as_builder tee node_modules/.cumulet > /dev/null
  modules_ready || fail "better-sqlite3 was built but does not load with $node: $(cd "$root" && "$node" -e 'new (require("better-sqlite3"))(":memory:")' 2>&1 | grep -m 1 Error)"
}

task_build() {
  after modules
  progress "compiling TypeScript"
  mark_log
  # shellcheck disable=SC2086 # a list of directories
  as_builder "$node" node_modules/@typescript/native/bin/tsc -b $build_targets || fail "the build failed: $(marked_log | grep -m 1 'rror' || echo "see $log_dir/install.log")"
}

# The demo image; made again only when its recipe changed.
task_image() {
  after packages
  recipe=$(cat "$root"/images/tiny/* | sha256sum | cut -d ' ' -f 1)
  if [ -e "$cache_dir/tiny.qcow2" ] && [ "$(cat "$cache_dir/tiny.recipe" 2> /dev/null)" = "$recipe" ]; then
    detail "up to date"
    return 0
  fi
  mkdir -p "$cache_dir"
  "$root/images/tiny/build.sh" "$cache_dir/tiny.qcow2" "$cache_dir/tiny" 2> "$state/image.messages" ||
    fail "the demo image could not be built: $(tail -n 1 "$state/image.messages")"
  echo "$recipe" > "$cache_dir/tiny.recipe"
  detail "$(du -m "$cache_dir/tiny.qcow2" | cut -f 1) MB"
}
