#!/usr/bin/env python3
"""Counts what a cloud left behind on its host, from the host's own tools and plain SQL. It shares no code with the audit.

usage: orphans.py --data DIR [--mariadb FILE] [--domain-prefix cumulet-] [--connect URI] [--netns NAME] [--disks DIR]
Prints one line for each orphan and exits with 1 if there is one, with 2 if something could not be looked at.
"""
import argparse
import base64
import json
import os
import re
import sqlite3
import subprocess
import sys

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
# Interfaces and chains carry the first 11 hexadecimal digits of an id behind a short prefix.
SHORT = re.compile(r'(?<![0-9a-zA-Z])(?:br|tap|vx|qr|qg|dh)([0-9a-f]{11})(?![0-9a-z])')

orphans = []
blind = []


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        blind.append('%s: %s' % (' '.join(argv), done.stderr.strip() or done.returncode))
        return ''
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--data', required=True)
    parser.add_argument('--mariadb', help="an option file of MariaDB's client that names the database, which is otherwise DIR/cumulet.db")
    parser.add_argument('--domain-prefix', default='cumulet-')
    parser.add_argument('--connect', default='qemu:///system', help="the host's libvirtd")
    parser.add_argument('--netns', help='look at the links and rules of this namespace instead of the host')
    parser.add_argument('--disks', help='a directory of disks that several hosts share')
    args = parser.parse_args()
    inside = ['ip', 'netns', 'exec', args.netns] if args.netns else []

    if args.mariadb:
        query = lambda sql: [line.split('\t') for line in run('mariadb', '--defaults-file=%s' % args.mariadb, '-BNe', sql).splitlines()]
    else:
        query = sqlite3.connect('file:%s/cumulet.db?mode=ro' % args.data, uri=True).execute
    one = lambda sql: {row[0] for row in query(sql)}
    servers = one('select id from server where deleted_at is null')
    placed = one('select id from server where deleted_at is null and host is not null')
    ports = one('select id from port')
    networks = one('select id from network')
    routers = one('select id from router')
    groups = one('select id from security_group union select id from security_group_rule')
    floating = one('select id from floating_ip')
    live = servers | ports | networks | routers | groups | floating
    short = {i.replace('-', '')[:11] for i in live}

    def ids_in(what, text, known=live):
        for found in set(UUID.findall(text)):
            if found not in known:
                orphans.append('%s names %s' % (what, found))

    def shorts_in(what, text):
        for found in set(SHORT.findall(text)):
            if found not in short:
                orphans.append('%s names an interface of %s' % (what, found))

    # Domains.
    for name in run('virsh', '-c', args.connect, 'list', '--all', '--name').split():
        if name.startswith(args.domain_prefix) and name[len(args.domain_prefix):] not in placed:
            orphans.append('domain %s' % name)
    # Files: every name below the host's directory that carries an id.
    for top in [os.path.join(args.data, 'host')] + ([args.disks] if args.disks else []):
        for base, folders, files in os.walk(top):
            for name in folders + files:
                ids_in('file %s' % os.path.join(base, name), name, placed)
    for base, folders, files in os.walk(os.path.join(args.data, 'network')):
        for name in folders + files:
            ids_in('file %s' % os.path.join(base, name), name)
            shorts_in('file %s' % os.path.join(base, name), name)
    # Links, here and in the namespaces of routers and networks.
    names = [n.split()[0] for n in run('ip', 'netns', 'list').splitlines() if n.startswith('cml')]
    for name in names:
        ids_in('namespace %s' % name, name)
    for where, prefix in [('the host', inside)] + [(n, ['ip', 'netns', 'exec', n]) for n in names]:
        links = run(*prefix, 'ip', '-json', 'link', 'show')
        for link in json.loads(links or '[]'):
            shorts_in('link in %s' % where, link['ifname'])
            if link.get('ifalias'):
                ids_in('alias of %s in %s' % (link['ifname'], where), link['ifalias'])
    # Rules and sets.
    for what in (['iptables-save'], ['ip6tables-save'], ['nft', 'list', 'ruleset'], ['ipset', 'list', '-name']):
        text = run(*inside, *what)
        ids_in(' '.join(what), text)
        shorts_in(' '.join(what), text)
        # Chains have 16 digits of an id, sets the whole of it in base64.
        digits = {i.replace('-', '')[:16] for i in live}
        for chain in set(re.findall(r'cumulet-[pg][io]-([0-9a-f]{16})', text)) - digits:
            orphans.append('%s names a chain of %s' % (' '.join(what), chain))
        codes = {base64.urlsafe_b64encode(bytes.fromhex(i.replace('-', ''))).decode().rstrip('=') for i in groups if UUID.fullmatch(i)}
        for code in set(re.findall(r'^cumulet[46]-(\S{22})$', text, re.M)) - codes:
            orphans.append('%s names a set of %s' % (' '.join(what), code))
    # Conntrack entries of zones that no bridge has.
    links = json.loads(run(*inside, 'ip', '-json', 'link', 'show', 'type', 'bridge') or '[]')
    used = set(re.findall(r' zone=(\d+)', ' '.join(' ' + link.get('ifalias', '') for link in links)))
    flows = ''.join(run(*inside, 'conntrack', '-L', '-f', family) for family in ('ipv4', 'ipv6'))
    for zone in set(re.findall(r'\bzone=(\d+)', flows)):
        if zone != '0' and zone not in used:
            orphans.append('conntrack entries in zone %s' % zone)
    # Processes.
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % pid, 'rb') as file:
                command = file.read().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            continue
        if command.startswith(('dnsmasq', '/usr/sbin/dnsmasq', 'qemu-system', '/usr/bin/qemu-system')) and args.data in command:
            ids_in('process %s' % pid, command)
            shorts_in('process %s' % pid, command)
    # Rows.
    rows = {
        'allocation of server %s': 'select server_id from allocation where server_id not in (select id from server where deleted_at is null)',
        'port %s': "select id from port where device_owner like 'compute:%' and device_id not in (select id from server where deleted_at is null)",
        'address of port %s': 'select port_id from port_address where port_id not in (select id from port)',
        'unfinished task %s': 'select id from task where active = 1',
        'residue of %s': 'select resource_id from host_residue',
        'room on host %s': 'select name from host where used_vcpus <> (select coalesce(sum(vcpus), 0) from allocation where host = name)'
                           ' or used_memory_mib <> (select coalesce(sum(memory_mib), 0) from allocation where host = name)',
    }
    for what, sql in rows.items():
        for (found,) in query(sql):
            orphans.append(what % found)

    for line in orphans:
        print('orphan: %s' % line)
    for line in blind:
        print('could not look: %s' % line, file=sys.stderr)
    print('%d orphans' % len(orphans))
    return 2 if blind else 1 if orphans else 0


if __name__ == '__main__':
    sys.exit(main())
