// Who was on the machine first: a Docker-like FORWARD policy and its chains, a firewall, libvirt's default network.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../containers/machine';

/** The machine's firewall: Debian's packages of that name. */
export type Firewall = 'ufw' | 'firewalld';

/** As dockerd leaves the rules when it starts: what was there of its own is made anew, ahead of everybody else's. */
const DOCKER_LIKE = `#!/bin/sh
set -eu
ip link show docker0 > /dev/null 2>&1 || ip link add docker0 address 02:42:ac:11:00:01 type bridge
ip address replace 172.17.0.1/16 dev docker0
ip link set docker0 up
iptables -P FORWARD DROP
for chain in DOCKER-FORWARD DOCKER-USER; do
  iptables -N $chain 2> /dev/null || iptables -F $chain
  iptables -D FORWARD -j $chain 2> /dev/null || :
  iptables -I FORWARD -j $chain
done
iptables -A DOCKER-USER -j RETURN
iptables -A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A DOCKER-FORWARD -i docker0 -j ACCEPT
iptables -t nat -C POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE 2> /dev/null ||
  iptables -t nat -I POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
`;

const DOCKER_UNIT = `[Unit]
After=ufw.service firewalld.service
Before=libvirtd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/docker-like
[Install]
WantedBy=multi-user.target
`;

const START: Readonly<Record<Firewall, string>> = {
  ufw: 'ufw --force enable',
  firewalld: 'systemctl enable --now firewalld',
};

const RELOAD: Readonly<Record<Firewall, string>> = {
  ufw: 'ufw disable && ufw --force enable',
  firewalld: 'firewall-cmd --reload && systemctl restart firewalld',
};

/** Installs them; they are there after each boot. */
export async function moveIn(machine: Machine, firewall: Firewall): Promise<void> {
  writeFileSync(join(machine.root, 'usr/local/sbin/docker-like'), DOCKER_LIKE, { mode: 0o755 });
  writeFileSync(join(machine.root, 'etc/systemd/system/docker-like.service'), DOCKER_UNIT);
  const commands = [
    START[firewall],
    'systemctl daemon-reload',
    // libvirtd would end while nobody asks it for anything, and this machine's owner uses it.
    'systemctl enable libvirtd docker-like',
    'virsh net-autostart default',
  ];
  await machine.asRoot(commands.join(' && '), 120);
}

/** What each of them says of itself. @throws CommandError when one is not at work */
export async function lookAround(machine: Machine, firewall: Firewall): Promise<string> {
  const firewallWords = firewall === 'ufw' ? 'ufw status verbose | grep -i default' : 'firewall-cmd --get-default-zone';
  const said = await machine.asRoot(
    `iptables -S FORWARD | grep -e '-P FORWARD DROP' && ${firewallWords} && virsh net-list --name | grep default`,
  );
  return said.split('\n').join(', ');
}

/** All of them start anew, each as its administrator would do it. */
export async function reloadAll(machine: Machine, firewall: Firewall): Promise<void> {
  await machine.asRoot(`${RELOAD[firewall]}; systemctl restart docker-like && systemctl restart libvirtd`, 120);
}
