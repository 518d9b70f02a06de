"""Errors of depacketisation."""

from recorder.errors import RecorderError

__all__ = ["PacketError"]


class PacketError(RecorderError):
    """Bytes that are no RTP packet, or break their payload format; other packets stay readable."""

    def __init__(self, text: str) -> None:
        super().__init__("{text}", text=text)
