"""The networks of clients, for limits that one client can't evade."""

from ipaddress import IPv6Address, IPv6Network, ip_address

MAX_LENGTH = 43
"""The maximum length of a network, in characters."""


def network_of(address: str | None) -> str:
    """Return the network that the limits apply to: an IPv4 address, or the /64 of an IPv6 address.

    One client usually has a whole /64 of IPv6 addresses.
    """
    text = address or "unknown"
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return text[:MAX_LENGTH]  # not an IP address, such as "unix:"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
    return str(parsed)
