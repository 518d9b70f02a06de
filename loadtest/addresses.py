"""Which local addresses aiortc may use.

aioice never offers a loopback address, so a machine without any other has no candidate at all.
"""

import contextlib
from collections.abc import Iterator, Sequence

import aioice.ice

__all__ = ["local_addresses"]


@contextlib.contextmanager
def local_addresses(addresses: Sequence[str]) -> Iterator[None]:
    """Peer connections made inside gather candidates on these addresses only."""

    def listed(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [a for a in addresses if (use_ipv6 if ":" in a else use_ipv4)]

    original = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = listed
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = original
