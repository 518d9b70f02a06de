"""Where a request comes from, as far as its socket and headers can tell."""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from pydantic import IPvAnyNetwork

__all__ = ["address_key", "client_address", "is_allowed_origin", "is_local", "is_trusted"]

_FORWARDING = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip"})


def is_local(address: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine itself.

    A reverse proxy on this machine connects from loopback as well, so any header that proxies
    add makes a request foreign. So does a ``Host`` that is no loopback name, because a foreign
    page may have had its name resolved to loopback.

    Args:
        address: of the socket's other end, without port.
        headers: of the request.
    """
    if address is None or not _is_loopback(address):
        return False
    names = {name.lower() for name in headers}
    if names & _FORWARDING or any(name.startswith("x-forwarded") for name in names):
        return False
    host = next((value for name, value in headers.items() if name.lower() == "host"), "")
    return _is_loopback_host(f"//{host}")


def is_allowed_origin(origin: str | None, host: str, allowed: Iterable[str]) -> bool:
    """Whether a page of that origin may open the WebSocket.

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
    return netloc == host.lower() or _is_loopback_host(origin)


def client_address(
    peer: str | None, forwarded_for: str | None, trusted: Iterable[IPvAnyNetwork]
) -> str:
    """The address connections are counted by.

    Args:
        peer: of the socket's other end.
        forwarded_for: header ``X-Forwarded-For``; only its last entry, which the proxy itself
            wrote, is believed, and only from a trusted proxy.
        trusted: networks of proxies.
    """
    address = _parse(peer or "")
    if address is None:
        return "unknown"
    if forwarded_for and is_trusted(str(address), trusted):
        claimed = _parse(forwarded_for.rpartition(",")[2].strip())
        address = claimed or address
    return str(address)


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


def _is_loopback_host(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
