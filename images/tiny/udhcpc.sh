#!/bin/sh
# Called by udhcpc with the lease in the environment: address, MTU (option 26), routes (option 121, else the router), DNS.
# shellcheck disable=SC2154 # interface, ip, mask, mtu, staticroutes, router, dns come from udhcpc
routes() {
  if [ -z "$staticroutes" ]; then
    for gateway in $router; do
      ip route replace default via "$gateway" dev "$interface"
      break
    done
    return
  fi
  # shellcheck disable=SC2086 # pairs of destination and gateway
  set -- $staticroutes
  while [ $# -ge 2 ]; do
    if [ "$2" = 0.0.0.0 ]; then
      ip route replace "$1" dev "$interface"
    else
      ip route replace "$1" via "$2" dev "$interface"
    fi
    shift 2
  done
}

case $1 in
  deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    if ! ip -4 -o addr show dev "$interface" | grep -q " $ip/$mask "; then
      ip -4 addr flush dev "$interface"
      ip addr add "$ip/$mask" dev "$interface"
    fi
    [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
    routes
    if [ -n "$dns" ]; then
      { for server in $dns; do echo "nameserver $server"; done; } > /etc/resolv.conf
    fi
    [ "$1" = renew ] && exit 0
    read -r up _ < /proc/uptime
    echo "TINY-DHCP if=$interface ip=$ip/$mask gw=$router mtu=$mtu up=$up" > /dev/console
    : > "/run/lease.$interface"
    ;;
esac
