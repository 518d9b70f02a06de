"""Where a request comes from, as far as its socket and headers can tell."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from multidict import MultiMapping
from pydantic import IPvAnyNetwork

__all__ = [
    "address_key",
    "client_address",
    "counted_as",
    "is_allowed_origin",
    "is_local",
    "is_loopback",
    "is_trusted",
]

_FORWARDING: Final = frozenset(
    {
        "cdn-loop",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "proxy-client-ip",
        "true-client-ip",
        "via",
        "wl-proxy-client-ip",
        "x-appengine-user-ip",
        "x-arr-log-id",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-coming-from",
        "x-host",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
    }
)
_FORWARDING_FAMILIES: Final = (
    "cf-",
    "x-amz-cf-",
    "x-amzn-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-proxy",
)
"""What proxies and CDNs add, by name or by the beginning of it."""

_LOOPBACK_HOST: Final = re.compile(
    r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.ASCII
)


def is_local(address: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine itself.

    A reverse proxy on this machine connects from loopback as well, so any header that proxies
    add makes a request foreign. So does a ``Host`` that is no loopback name, because a foreign
    page may have had its name resolved to loopback. A proxy that hides itself completely can't
    be told from a program on this machine.

    Args:
        address: of the socket's other end, without port.
        headers: of the request.
    """
    if address is None or not _is_loopback(address):
        return False
    # Some servers behind proxies make no difference between the two characters.
    names = [name.lower().replace("_", "-") for name in headers]
    if any(name in _FORWARDING or name.startswith(_FORWARDING_FAMILIES) for name in names):
        return False
    hosts = [value for name, value in headers.items() if name.lower() == "host"]
    return len(hosts) == 1 and _is_loopback_authority(hosts[0])


def is_loopback(host: str) -> bool:
    """Whether a name or address, without port and brackets, can only mean this machine."""
    return host.lower() == "localhost" or _is_loopback(host)


def is_allowed_origin(origin: str | None, host: str, allowed: Iterable[str]) -> bool:
    """Whether a page of that origin may join.

    Args:
        origin: header ``Origin``; programs send none.
        host: header ``Host``.
        allowed: origins of the configuration, in lower case.
    """
    if origin is None:
        return True
    origin = origin.lower()
    if origin in allowed:
        return True
    scheme, separator, netloc = origin.partition("://")
    if scheme not in {"http", "https"} or not separator:
        return False
    return netloc == host.lower() or _is_loopback_authority(netloc)


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Iterable[IPvAnyNetwork]
) -> str:
    """The address connections are counted by.

    Args:
        peer: of the socket's other end.
        forwarded_for: headers ``X-Forwarded-For``, in their order. Only the last entry of the last
            one, which the proxy itself wrote, is believed, and only from a trusted proxy.
        trusted: networks of proxies.
    """
    address = _parse(peer or "")
    if address is None:
        return "unknown"
    if forwarded_for and is_trusted(str(address), trusted):
        claimed = _parse(forwarded_for[-1].rpartition(",")[2].strip())
        address = claimed or address
    return str(address)


def counted_as(
    peer: str | None, headers: MultiMapping[str], trusted: Iterable[IPvAnyNetwork]
) -> str:
    """What a request's connections are counted under: :func:`address_key` of its client.

    Args:
        peer: of the socket's other end.
        headers: of the request.
        trusted: networks of proxies.
    """
    return address_key(client_address(peer, headers.getall("X-Forwarded-For", ()), trusted))


def address_key(address: str) -> str:
    """What connections of an address are counted under: itself, or the /64 of an IPv6 one.

    Whoever has one IPv6 address commonly has all of its /64 (RFC 6177, section 2).
    """
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address) and not parsed.is_loopback:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed) if parsed else address


def is_trusted(peer: str, trusted: Iterable[IPvAnyNetwork]) -> bool:
    """Whether the socket's other end is one of the reverse proxies."""
    address = _parse(peer)
    return address is not None and any(address in network for network in trusted)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_loopback(address: str) -> bool:
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def _is_loopback_authority(text: str) -> bool:
    """``uri-host [":" port]`` of this machine (RFC 9110, section 7.2), and nothing around it.

    Names below ``localhost`` are left out: not every resolver keeps them on this machine.
    """
    text = text.lower()
    if _LOOPBACK_HOST.fullmatch(text) is None:
        return False
    host, port = text, ""
    if not text.endswith("]"):
        before, separator, after = text.rpartition(":")
        host, port = (before, after) if separator else (text, "")
    if port and int(port) > 65_535:
        return False
    return is_loopback(host.removeprefix("[").removesuffix("]"))
