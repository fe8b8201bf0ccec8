"""What a host is: of the public internet, which may be asked for data; of this machine; how it is spelled."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host, for a port; OSError where it has none."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")
UNICAST = ipaddress.ip_network("2000::/3")
"""All that is public in IPv6."""
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""Networks that are not public, and that `is_global` of some versions of Python takes for it."""


def resolve(host: str, port: int) -> list[str]:
    """What the system says about the host, each address once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Whether this address is one of the public internet, and not a private one in disguise."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False  # such as fe80::1%eth0
    return all(_is_global(part) for part in (address, *_inner(address)))


def is_loopback(host: str) -> bool:
    """Whether this address, or `localhost`, is the machine itself."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def literal(host: str) -> Address | None:
    """The address that a URI gives in place of a host's name, in brackets or not; None where it is a name.

    ValueError where it is an address in a spelling of old (127.1, 0x7f000001, 2130706433): programs differ about it.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        if ":" in bare or _is_old_spelling(bare):
            raise ValueError("an address must be spelled in full, such as 192.0.2.1 or [2001:db8::1]") from None
        return None


def _is_global(address: Address) -> bool:
    if address.version == UNICAST.version and address not in UNICAST and address not in NAT64:
        return False
    if any(address in network for network in SPECIAL):
        return False
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> list[Address]:
    """The IPv4 address that an IPv6 address carries, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _is_old_spelling(text: str) -> bool:
    """Whether the C library takes it for an IPv4 address."""
    try:
        socket.inet_aton(text.rstrip("."))
    except OSError:
        return False
    return True
