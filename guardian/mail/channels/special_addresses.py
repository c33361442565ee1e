"""Our own table of IP addresses that are not of the public internet, as of 28 November 2026.

From IANA's registries of special-purpose addresses (RFC 6890; iana.org/assignments/iana-ipv4-special-registry and
iana-ipv6-special-registry). Python's `is_global` is as old as the Python that runs, and calls some of them public.
What the registries call reachable but serves no web page (anycast of protocols, relays) is left out as well.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

_WHY = {
    "this network (RFC 791)": "0.0.0.0/8",
    "private use (RFC 1918)": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "shared by carriers (RFC 6598); clouds keep metadata at 100.100.100.200": "100.64.0.0/10",
    "loopback (RFC 1122)": "127.0.0.0/8",
    "no registry has it: Azure's own services, from inside any of its machines": "168.63.129.16/32",
    "link-local (RFC 3927); clouds hand out credentials at 169.254.169.254": "169.254.0.0/16",
    "protocol assignments (RFC 6890); 192.0.0.192 is Oracle's metadata": "192.0.0.0/24",
    "protocol assignments (RFC 2928), with Teredo (RFC 4380), benchmarks, ORCHID": "2001::/23",
    "documentation (RFC 5737, 3849, 9637)": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    "AS112 (RFC 7534, 7535)": "192.31.196.0/24 192.175.48.0/24 2620:4f:8000::/48",
    "AMT (RFC 7450)": "192.52.193.0/24",
    "6to4 (RFC 3056), whose relays are deprecated (RFC 7526)": "192.88.99.0/24 2002::/16",
    "benchmarks (RFC 2544)": "198.18.0.0/15",
    "multicast (RFC 5771)": "224.0.0.0/4",
    "reserved (RFC 1112), and broadcast": "240.0.0.0/4",
}
NETWORKS = [ip_network(each) for networks in _WHY.values() for each in networks.split()]
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is handed out for the internet (RFC 4291, section 2.4): what lies outside is special in any case."""
CARRYING = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv6 outside the internet's that leads to the IPv4 address in its last four bytes: mapped (RFC 4291, section 2.5.5.2)
and through a translator (RFC 6052)."""
ISATAP = (0x00005EFE, 0x02005EFE)
"""What stands before the IPv4 address in the interface of an ISATAP address (RFC 5214, section 6.1), in any network."""


def is_special(ip: IPv4Address | IPv6Address) -> bool:
    """Whether the address is not of the public internet, or carries one that is not."""
    if isinstance(ip, IPv6Address):
        inside = IPv4Address(int(ip) & 0xFFFFFFFF)
        if any(ip in network for network in CARRYING):
            return is_special(inside)
        if ip not in GLOBAL_UNICAST or ((int(ip) >> 32) & 0xFFFFFFFF in ISATAP and is_special(inside)):
            return True
    return any(ip in network for network in NETWORKS)
