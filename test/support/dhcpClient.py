# A DHCP client of one exchange: asks on an interface and prints the acknowledged options as JSON. Fails without an answer.
import json
import sys

from scapy.all import BOOTP, DHCP, IP, UDP, Ether, conf, get_if_raw_hwaddr, srp1

link = sys.argv[1]
conf.checkIPaddr = False
conf.verb = 0
_, raw = get_if_raw_hwaddr(link)
mac = ":".join("%02x" % byte for byte in raw)


def ask(*options):
    packet = (
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=raw, xid=0x1234, flags=0x8000)
        / DHCP(options=[*options, ("param_req_list", [1, 3, 6, 12, 15, 26, 121, 119, 66, 67]), "end"])
    )
    answer = srp1(packet, iface=link, timeout=2, retry=2, filter="udp and port 68")
    if answer is None:
        sys.exit("no DHCP answer")
    return answer


offer = ask(("message-type", "discover"))
ack = ask(("message-type", "request"), ("requested_addr", offer[BOOTP].yiaddr))
found = {"yiaddr": ack[BOOTP].yiaddr}
for option in ack[DHCP].options:
    if isinstance(option, tuple):
        name, value = option[0], option[1] if len(option) == 2 else list(option[1:])
        if isinstance(value, bytes):
            text = value.rstrip(b"\0")
            value = text.decode() if text.isascii() and text.isalnum() else value.hex()
        found["mtu" if name == "interface-mtu" else str(name)] = value
print(json.dumps(found))
