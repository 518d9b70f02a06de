"""Errors of depacketisation."""

__all__ = ["PacketError"]


class PacketError(Exception):
    """Bytes that are no RTP packet, or break their payload format; other packets stay readable."""
