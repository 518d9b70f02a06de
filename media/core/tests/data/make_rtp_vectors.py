"""Writes ``rtp_vectors.txt``: RTP and RTCP packets made by aiortc, for comparison.

Needs aiortc. Lines are a name and the packet in hex; the Rust test builds the same packets.
"""

from pathlib import Path

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_header_extensions,
    pack_remb_fci,
)


def report(ssrc: int) -> RtcpReceiverInfo:
    """Returns a report block."""
    return RtcpReceiverInfo(
        ssrc=ssrc,
        fraction_lost=17,
        packets_lost=-3,
        highest_sequence=0x0002FFFF,
        jitter=1234,
        lsr=0xAABBCCDD,
        dlsr=77,
    )


def extension_block(values: list[tuple[int, bytes]]) -> bytes:
    """Returns an extension block with its header."""
    profile, data = pack_header_extensions(values)
    return profile.to_bytes(2, "big") + (len(data) // 4).to_bytes(2, "big") + data


def main() -> None:
    info = RtcpSenderInfo(
        ntp_timestamp=0xE0000001_80000000,
        rtp_timestamp=90000,
        packet_count=10,
        octet_count=0xFFFFFFFF,
    )
    remb = pack_remb_fci(1_234_567, [5, 6])
    packets = {
        "sender_report": RtcpSrPacket(ssrc=1, sender_info=info, reports=[report(2), report(3)]),
        "receiver_report": RtcpRrPacket(ssrc=1, reports=[report(2)]),
        "cname": RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=9, items=[(1, b"{abcdef}")])]),
        "bye": RtcpByePacket(sources=[1, 2, 3]),
        "nack": RtcpRtpfbPacket(
            fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=[12, 13, 28, 29, 65535]
        ),
        "pli": RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=2),
        "remb": RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=remb),
        "one_byte_extensions": extension_block([(1, b"0"), (3, bytes(3)), (14, b"x" * 16)]),
        "two_byte_extensions": extension_block([(1, b"0"), (16, b""), (255, b"x" * 17)]),
    }
    lines = [f"{name} {bytes(packet).hex()}\n" for name, packet in packets.items()]
    Path(__file__).with_name("rtp_vectors.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
