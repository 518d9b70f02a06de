"""Reads capture files: RTP and sender reports in pcapng.

Only what :doc:`docs/recording.md` says of the files is understood: one interface of IPv4 packets,
media to UDP port 5004, reports to the next one, times in µs of the session clock. Other blocks
are passed over.
"""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

from recorder.envelope import SUFFIX, MasterKeys
from recorder.playback.clock import SenderReport
from recorder.playback.errors import DamagedError
from recorder.playback.sealed import open_sealed
from recorder.playback.source import CapturedPacket, Item
from recorder.regular import open_regular

__all__ = ["MEDIA_PORT", "read_items", "read_segment"]

_LOG = logging.getLogger(__name__)

MEDIA_PORT: Final = 5_004

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_ENHANCED_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_LINK_TYPES: Final = frozenset({101, 228})
_MAX_BLOCK: Final = 1 << 20
_HEAD: Final = Struct("<II")
_WORD: Final = Struct("<I")
_PACKET: Final = Struct("<IIIII")
_REPORT: Final = Struct("!BBHIIII")
_PORTS: Final = Struct("!HHH")
_UDP: Final = 17
_SENDER_REPORT: Final = 200


def read_segment(path: Path, keys: MasterKeys | None = None) -> Iterator[Item]:
    """Everything in one file, in order.

    Args:
        path: ``.pcapng``, or ``.pcapng.enc`` if it is encrypted.
        keys: for encrypted ones.

    Raises:
        DamagedError: it is cut short, or no capture file.
        RecordingError: it is encrypted with another key, or put in the place of another.
        OSError: it can't be read.
    """
    if path.suffix != SUFFIX:
        with open_regular(path, buffering=1 << 18) as file:
            yield from read_items(file, str(path))
        return
    with open_sealed(path, keys) as sealed:
        yield from read_items(io.BufferedReader(sealed, 1 << 18), str(path))
        if sealed.is_cut:
            _LOG.warning("encrypted file has no last frame", extra={"path": str(path)})


def read_items(file: BinaryIO, name: str) -> Iterator[Item]:
    """Everything in an open file.

    Args:
        file: at its start.
        name: for errors.

    Raises:
        DamagedError: it is cut short, or no capture file.

    Spec: draft-ietf-opsawg-pcapng, section 4.
    """
    first = True
    at = 0
    while head := file.read(_HEAD.size):
        kind, size = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        if first and kind != _SECTION:
            raise DamagedError("{path} is no capture file", path=name)
        if size < 12 or size % 4 or size > _MAX_BLOCK:
            raise DamagedError("{path} is damaged at byte {at}", path=name, at=at)
        body = file.read(size - _HEAD.size)
        if len(body) != size - _HEAD.size or _WORD.unpack_from(body, len(body) - 4)[0] != size:
            raise DamagedError("{path} is damaged at byte {at}", path=name, at=at)
        match kind:
            case 0x0A0D0D0A if _WORD.unpack_from(body)[0] != _BYTE_ORDER:
                raise DamagedError("{path} is no capture file", path=name)
            case 1 if int.from_bytes(body[:2], "little") not in _LINK_TYPES:
                raise DamagedError("{path} is no capture file", path=name)
            case 6:
                item = _packet(body)
                if item is None:
                    raise DamagedError("{path} is damaged at byte {at}", path=name, at=at)
                yield from item
        first = False
        at += size


def _packet(body: bytes) -> list[Item] | None:
    """What an enhanced packet block holds; ``None`` if its lengths contradict each other."""
    if len(body) < _PACKET.size + 4:
        return None
    _, high, low, captured, _ = _PACKET.unpack_from(body)
    arrival_us = high << 32 | low
    end = _PACKET.size + captured
    if end > len(body) - 4:
        return None
    start = _PACKET.size
    header = (body[start] & 0x0F) * 4 if captured >= 20 else 0
    if header < 20 or body[start] >> 4 != 4 or captured < header + 8:
        return None
    if body[start + 9] != _UDP:
        return []
    _, port, length = _PORTS.unpack_from(body, start + header)
    payload = body[start + header + 8 : end]
    if length != len(payload) + 8:
        return None
    if port == MEDIA_PORT:
        return [CapturedPacket(arrival_us, payload)]
    if port == MEDIA_PORT + 1:
        return _report(arrival_us, payload)
    return []


def _report(arrival_us: int, data: bytes) -> list[Item]:
    """A sender report (RFC 3550, section 6.4.1); other reports say nothing of clocks."""
    if len(data) < 20 or data[0] >> 6 != 2 or data[1] != _SENDER_REPORT:
        return []
    _, _, _, ssrc, seconds, fraction, timestamp = _REPORT.unpack_from(data)
    ntp_us = seconds * 1_000_000 + (fraction * 1_000_000 >> 32)
    return [SenderReport(ssrc, timestamp, ntp_us, arrival_us)]
