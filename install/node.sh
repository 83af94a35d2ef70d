# Finds a Node.js that is new enough: on the PATH, on the PATH of the user who called sudo, and where version managers
# put it (sudo replaces the PATH, so theirs is not seen by root). Sourced.
# shellcheck shell=sh disable=SC2154 # root is set by cumulet

NODE_MAJOR=20

# calling_user: the user who wants this: who called sudo, else who runs it.
calling_user() {
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER-}" ] && id -u "$SUDO_USER" > /dev/null 2>&1; then
    echo "$SUDO_USER"
  else
    id -un
  fi
}

# home_of USER
home_of() { getent passwd "$1" | cut -d: -f6; }

# node_candidates: paths, one per line, most wanted first; newest first where several versions lie side by side.
node_candidates() {
  echo "${CUMULET_NODE-}"
  command -v node || :
  user=$(calling_user)
  if [ "$user" != "$(id -un)" ]; then
    runuser -l "$user" -c 'command -v node' 2> /dev/null < /dev/null || :
  fi
  home=$(home_of "$user")
  # shellcheck disable=SC2012 # newest version first
  ls -1d "$home"/.nvm/versions/node/*/bin/node "$home"/.config/nvm/versions/node/*/bin/node \
    "$home"/.local/share/fnm/node-versions/*/installation/bin/node "$home"/.fnm/node-versions/*/installation/bin/node \
    "$home"/.volta/tools/image/node/*/bin/node "$home"/.asdf/installs/nodejs/*/bin/node \
    "$home"/.local/share/mise/installs/node/*/bin/node "$home"/.nodenv/versions/*/bin/node \
    "$home"/n/bin/node "$home"/.local/bin/node 2> /dev/null | sort -rV
  ls -1d /usr/local/bin/node /usr/bin/node /opt/*/bin/node /usr/local/n/versions/node/*/bin/node /snap/bin/node 2> /dev/null
}

# find_node: sets node and puts its directory first on the PATH, so that npm and scripts use the same one.
find_node() {
  if [ -n "${node-}" ]; then return 0; fi
  seen=
  for candidate in $(node_candidates); do
    if [ ! -x "$candidate" ]; then continue; fi
    version=$("$candidate" --version 2> /dev/null) || continue
    major=${version#v}
    major=${major%%.*}
    case $major in '' | *[!0-9]*) continue ;; esac
    if [ "$major" -ge "$NODE_MAJOR" ]; then
      node=$candidate
      PATH=$(dirname "$node"):$PATH
      export PATH node
      return 0
    fi
    seen="${seen:+$seen, }$version at $candidate"
  done
  echo "cumulet: Node.js $NODE_MAJOR or newer is needed (found: ${seen:-none}): get it at https://nodejs.org/en/download," \
    "or on Debian 13 by: apt install nodejs npm" >&2
  exit 1
}
