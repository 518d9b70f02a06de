"""Writes ``srtp_vectors.txt``: packets protected by libsrtp, for the SRTP tests.

Needs pylibsrtp. Lines are ``profile <name> <master key> <master salt>`` and, below, ``rtp``
or ``rtcp`` followed by plain and protected packet, in the order they were protected, in hex.
"""

import hashlib
import struct
from pathlib import Path

from pylibsrtp import Policy, Session

PROFILES = {
    "Aes128CmSha1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
    "AeadAes128Gcm": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "AeadAes256Gcm": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
}
SSRCS = (0x00000001, 0xDECAFBAD)
SEQUENCE_NUMBERS = (65500, 65533, 65534, 0, 65535, 1, 3, 2, 32767, 32768, 65535, 0)


def octets(label: str, count: int) -> bytes:
    """Returns reproducible bytes."""
    return hashlib.shake_128(label.encode()).digest(count)


def rtp_packet(ssrc: int, number: int, step: int) -> bytes:
    """Returns a packet with every combination of CSRC list, extension and payload length."""
    csrc = octets("csrc", 8) if step % 2 else b""
    extension = bytes.fromhex("bede0002100532aabbcc0000") if step % 3 else b""
    first = 0x80 | (0x10 if extension else 0) | len(csrc) // 4
    header = struct.pack("!BBHII", first, 0x60 | (step & 1) << 7, number, step * 3000, ssrc)
    return header + csrc + extension + octets(f"payload {step}", (0, 1, 15, 16, 17, 40)[step % 6])


def rtcp_packet(ssrc: int, step: int) -> bytes:
    """Returns a receiver report, with a source description behind it every other time."""
    report = struct.pack("!BBHI", 0x80, 201, 1, ssrc)
    names = struct.pack("!BBHIBB", 0x81, 202, 3, ssrc, 1, 4) + b"name" + bytes(2)
    return report + (names if step % 2 else b"")


def main() -> None:
    lines: list[str] = []
    for name, (profile, key_len, salt_len) in PROFILES.items():
        key, salt = octets(f"key {name}", key_len), octets(f"salt {name}", salt_len)
        lines.append(f"profile {name} {key.hex()} {salt.hex()}\n")
        policy = Policy(key=key + salt, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        session = Session(policy=policy)
        for step, number in enumerate(SEQUENCE_NUMBERS):
            for ssrc in SSRCS:
                plain = rtp_packet(ssrc, number, step)
                lines.append(f"rtp {plain.hex()} {session.protect(plain).hex()}\n")
        for step in range(4):
            plain = rtcp_packet(SSRCS[0], step)
            lines.append(f"rtcp {plain.hex()} {session.protect_rtcp(plain).hex()}\n")
    Path(__file__).with_name("srtp_vectors.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
