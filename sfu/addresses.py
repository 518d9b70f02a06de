"""Where clients reach an engine."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence

import ifaddr

from sfu.config import SfuConfig, parse_advertised
from sfu.engine import EngineLike
from sfu.errors import AddressError

__all__ = ["candidate_addresses", "host_addresses", "reachable_at", "tcp_addresses"]


def candidate_addresses(
    config: SfuConfig,
    engine: EngineLike,
    *,
    engines: int,
    interfaces: "Callable[[], list[str]] | None" = None,
) -> list[tuple[str, int]]:
    """Addresses for an engine's candidates, best first.

    Args:
        config: ``advertised_addresses``; empty means what the engine listens on.
        engine: the engine.
        engines: number of engines.
        interfaces: yields the machine's addresses, for an engine on a wildcard address.

    Raises:
        AddressError: nothing is left, or a port is named although there are several engines.
    """
    return reachable_at(
        config, engine.local_addresses, engine.port, engines=engines, interfaces=interfaces
    )


def reachable_at(
    config: SfuConfig,
    local_addresses: Sequence[str],
    own_port: int,
    *,
    engines: int,
    interfaces: "Callable[[], list[str]] | None" = None,
) -> list[tuple[str, int]]:
    """Like :func:`candidate_addresses`, for an engine that need not exist.

    Args:
        config: ``advertised_addresses``.
        local_addresses: what it listens on, as ``host:port``.
        own_port: its UDP port.
        engines: number of engines.
        interfaces: yields the machine's addresses.

    Raises:
        AddressError: as above.
    """
    bound = [parse_bound(text) for text in local_addresses]
    families = {ipaddress.ip_address(address).version for address, _ in bound}
    advertised = [parse_advertised(text) for text in config.advertised_addresses]
    if engines > 1 and any(port is not None for _, port in advertised):
        raise AddressError(
            "advertised_addresses names a port, but every engine has its own; name addresses only"
        )
    if advertised:
        found = [(address, port or own_port) for address, port in advertised]
    else:
        list_interfaces = interfaces or host_addresses
        found = [
            (address, port) for host, port in bound for address in _concrete(host, list_interfaces)
        ]
    found = [item for item in found if ipaddress.ip_address(item[0]).version in families]
    if not found:
        raise AddressError(
            "no address to advertise: advertised_addresses has none of a family listened on"
        )
    return list(dict.fromkeys(found))


def tcp_addresses(
    engine: EngineLike, addresses: Sequence[tuple[str, int]]
) -> list[tuple[str, int]]:
    """Where clients without UDP reach the engine: the same addresses, by TCP.

    A NAT that maps the UDP port to another is expected to map the same TCP port alike.

    Args:
        engine: the engine.
        addresses: those of UDP, from :func:`candidate_addresses`.

    Returns:
        Nothing where the engine offers no TCP.
    """
    port = engine.tcp_port
    if port is None:
        return []
    same = port == engine.port
    return list(dict.fromkeys((host, mapped if same else port) for host, mapped in addresses))


def host_addresses() -> list[str]:
    """Addresses of this machine's interfaces; loopback only where there is nothing else."""
    found = [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    return reachable(found)


def reachable(addresses: Iterable[str]) -> list[str]:
    """Leaves out what another machine can't use, where anything else is left."""
    parsed = [ipaddress.ip_address(text) for text in addresses]
    usable = [item for item in parsed if not item.is_link_local and not item.is_unspecified]
    routed = [item for item in usable if not item.is_loopback]
    return [str(item) for item in (routed or usable)]


def parse_bound(text: str) -> tuple[str, int]:
    """Splits ``host:port`` as engines write it, IPv6 in brackets."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _concrete(host: str, interfaces: "Callable[[], list[str]]") -> Sequence[str]:
    address = ipaddress.ip_address(host)
    if not address.is_unspecified:
        return [str(address)]
    return [item for item in interfaces() if ipaddress.ip_address(item).version == address.version]
