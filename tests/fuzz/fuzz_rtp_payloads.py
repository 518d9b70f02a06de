"""Fuzzes depacketisation: packets of every codec become frames, or are counted as malformed.

``python -m tests.fuzz.fuzz_rtp_payloads --seconds 60``
"""

import sys

from tests.fuzz.runner import instrumented, main
from tests.recorder.encoders import payloads
from tests.rtp.test_formats import MALFORMED, encoded

with instrumented("rtp"):
    from rtp.assembly import FORMATS, Assembler
    from rtp.errors import PacketError
    from rtp.order import Reorder
    from rtp.packet import parse_rtp

_CODECS = list(FORMATS)


def target(data: bytes) -> None:
    """The first byte chooses the codec; packets follow, each after its length in two bytes."""
    if not data:
        return
    assembler = Assembler(FORMATS[_CODECS[data[0] % len(_CODECS)]]())
    order = Reorder(depth=4)
    at = 1
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        try:
            packet = parse_rtp(data[at + 2 : at + 2 + size])
        except PacketError:
            packet = None
        at += 2 + size
        if packet is not None:
            for ordered in order.push(at, packet):
                for frame in assembler.push(ordered):
                    assert frame.data


def seeds() -> list[bytes]:
    """Some frames of every codec, and the table of malformed payloads."""
    made = []
    for index, codec in enumerate(_CODECS):
        parts = [payloads(codec, frame) for frame in encoded(codec, 4)]
        made.append(bytes([index]) + _packed([p for group in parts for p in group]))
    for form, parts in MALFORMED.values():
        index = next(i for i, name in enumerate(_CODECS) if FORMATS[name] is form)
        made.append(bytes([index]) + _packed(parts))
    return made


def _packed(parts: list[bytes]) -> bytes:
    out = b""
    for number, part in enumerate(parts):
        packet = b"\x80\xe0" + number.to_bytes(2, "big") + bytes(8) + part
        out += len(packet).to_bytes(2, "big") + packet
    return out


if __name__ == "__main__":
    sys.exit(main("rtp payloads", target, seeds()))
