# Where the instance learns who it is: a config drive, else the metadata service. Sourced by rc; leaves /run/openstack.
# shellcheck shell=sh
# shellcheck source=/dev/null
. /etc/say

service=http://169.254.169.254/openstack/latest

# fetch NAME: one document of the service into /run/openstack. (busybox wget -T crashes in Debian 12: timeout instead)
fetch() {
  timeout 4 wget -q -O "/run/openstack/$1.part" "$service/$1" 2> /dev/null &&
    mv "/run/openstack/$1.part" "/run/openstack/$1"
}

# field NAME: a member of the metadata document.
field() { awk -v "want=$1" -f /etc/json.awk /run/openstack/meta_data.json 2> /dev/null; }

# summary: what the boot markers tell of the metadata; never keys or passwords, as others may read the console.
summary() { echo "uuid=$(field uuid) host=$(field hostname) keys=$(field public_keys/ | grep -c .) $(uptime_is)"; }

# from_config_drive: an ISO 9660 or VFAT filesystem on a CD-ROM, disk or partition that carries the OpenStack tree.
from_config_drive() {
  for device in /dev/sr[0-9] /dev/vd[b-z] /dev/vd[b-z][0-9] /dev/sd[a-z] /dev/sd[a-z][0-9]; do
    [ -b "$device" ] || continue
    mount -t iso9660 -o ro "$device" /mnt 2> /dev/null || mount -t vfat -o ro "$device" /mnt 2> /dev/null || continue
    if [ -e /mnt/openstack/latest/meta_data.json ]; then
      cp /mnt/openstack/latest/* /run/openstack/ 2> /dev/null
      umount /mnt
      say "TINY-CONFIGDRIVE dev=$device $(summary)"
      return 0
    fi
    umount /mnt
  done
  return 1
}

# has_card: whether there is an interface that a lease may come by.
has_card() {
  for path in /sys/class/net/*; do
    [ "${path##*/}" = lo ] || return 0
  done
  return 1
}

# from_service: asks until it answers, at most 12 s after there is a lease and 20 s in all; never without an interface.
from_service() {
  has_card || return 1
  tries=0
  until ls /run/lease.* > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 40 ] || return 1
    sleep 0.2
  done
  read -r until _ < /proc/uptime
  until=$((${until%.*} + 12))
  until fetch meta_data.json; do
    read -r now _ < /proc/uptime
    [ "${now%.*}" -lt $until ] || return 1
    sleep 0.3
  done
  fetch user_data
  say "TINY-META $(summary)"
}

# host_key: this instance's own ssh key, made by one caller at a time.
host_key() {
  [ -s /etc/dropbear/key ] || dropbearkey -t ed25519 -f /etc/dropbear/key > /dev/null 2>&1
}

# apply: host name, keys, whether the password opens, and the host's own key. Another instance id than last time (an image made of a server) starts anew.
apply() {
  uuid=$(field uuid)
  if [ -n "$uuid" ] && [ "$uuid" != "$(cat /var/lib/tiny/instance 2> /dev/null)" ]; then
    rm -f /root/.ssh/authorized_keys /var/lib/tiny/user_data_done
    [ ! -e /var/lib/tiny/instance ] || rm -f /etc/dropbear/key
    echo "$uuid" > /var/lib/tiny/instance
  fi
  if [ -s /run/openstack/meta_data.json ]; then
    field public_keys/ | grep . > /root/.ssh/authorized_keys
    chmod 600 /root/.ssh/authorized_keys
    name=$(field hostname)
    [ -z "$name" ] || echo "$name" > /etc/hostname
    hostname -F /etc/hostname
  fi
  hostname > /www/index.html
  set_password
  host_key
  sync
}

# set_password: the well-known password opens the consoles, too, only while nobody gave a key. passwd refuses to do what is done.
set_password() {
  locked=
  case $(grep '^root:' /etc/passwd) in root:!*) locked=yes ;; esac
  if [ -s /root/.ssh/authorized_keys ]; then
    [ -z "$locked" ] || return 0
    passwd -l root > /dev/null
    echo "This server takes no password: log in by ssh with your key." > /etc/issue
  elif [ -n "$locked" ]; then
    passwd -u root > /dev/null
    rm -f /etc/issue
  fi
}

# start_ssh: passwords only while nobody gave a key.
start_ssh() {
  [ ! -e /run/dropbear.pid ] || kill "$(cat /run/dropbear.pid)" 2> /dev/null
  options=
  [ ! -s /root/.ssh/authorized_keys ] || options=-s
  dropbear -r /etc/dropbear/key -P /run/dropbear.pid $options > /dev/null 2>&1
}

# run_user_data: once per instance, when it is a script.
run_user_data() {
  file=/run/openstack/user_data
  [ -s $file ] && [ ! -e /var/lib/tiny/user_data_done ] || return 0
  : > /var/lib/tiny/user_data_done
  if [ "$(head -c 2 $file)" != '#!' ]; then
    say "TINY-USERDATA not a script: not run"
    return 0
  fi
  chmod 700 $file
  $file > /var/log/user_data.log 2>&1
  say "TINY-USERDATA rc=$? $(head -c 200 /var/log/user_data.log | tr '\n' '|')"
}
