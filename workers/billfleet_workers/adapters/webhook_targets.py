"""Which addresses a webhook may go to: on the public network, and nowhere inside ours.

`webhook_http` asks about the name before, and about every address that the name leads to. Pure.
Addresses that hide another one (mapped, translated, tunnelled) are judged by the hidden one too.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from billfleet_workers.runtime.ports.webhooks import TargetRefused

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
# Not every Python that we run on counts this one as private.
_PROTOCOLS: Final = IPv4Network("192.0.0.0/24")
_COMPATIBLE: Final = IPv6Network("::/96")
_URL_CHARS_MAX: Final = 2000


def check_url(url: str, *, to_loopback: bool) -> SplitResult:
    """The parts of an address that may be tried; what it leads to is checked when it is known.

    Raises:
        TargetRefused: another scheme, credentials in the address, no host, or no TLS.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise TargetRefused("the address cannot be read") from None
    if len(url) > _URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise TargetRefused("the address is too long, or not plain ASCII")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise TargetRefused("the address does not begin with https://")
    if parts.scheme == "http" and not to_loopback:
        raise TargetRefused("the address has no TLS: it must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("the address holds credentials")
    literal = literal_of(parts.hostname)
    if literal is not None:
        check_address(literal, to_loopback=to_loopback)
    return parts


def literal_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, or None where it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def check_address(address: IPv4Address | IPv6Address, *, to_loopback: bool) -> None:
    """Raise TargetRefused unless the address is public, or is this machine and that is allowed."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    for judged in (mapped or address, *_hidden(address)):
        if judged.is_loopback and to_loopback:
            continue
        is_public = judged.is_global and not (judged.is_multicast or judged.is_reserved)
        if not is_public or judged in _PROTOCOLS:
            raise TargetRefused("the address leads into a private or reserved network")


def _hidden(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses inside an IPv6 one, to which a gateway on the way may translate it."""
    if isinstance(address, IPv4Address):
        return []
    hidden = [] if address.sixtofour is None else [address.sixtofour]
    if address.teredo is not None:
        hidden += address.teredo
    is_plain = address.is_loopback or address.is_unspecified
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and not is_plain):
        hidden.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return hidden
