"""Names and addresses of machines, as people write them."""

import ipaddress
import re

__all__ = ["is_host_name", "is_ip_address"]

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MAX_NAME_CHARS = 253


def is_ip_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address without port and brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Whether the text has the form of a host name (RFC 1123; ``_`` is tolerated).

    Digits and dots alone are a mistyped address.
    """
    labels = text.split(".")
    return (
        len(text) <= _MAX_NAME_CHARS
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )
