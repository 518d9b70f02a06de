"""Offers as a browser would write them, as far as negotiation reads them."""

from collections.abc import Sequence

__all__ = ["offer_sdp"]

_LINES = {
    "audio": ("UDP/TLS/RTP/SAVPF 111", ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10"]),
    "video": (
        "UDP/TLS/RTP/SAVPF 96 97",
        [
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
        ],
    ),
}


def offer_sdp(
    lines: Sequence[tuple[str, str]], *, ufrag: str = "abcd", page: int = 1, session: int = 1
) -> str:
    """An offer with the given ``(kind, direction)`` m-lines, mids 0, 1, ….

    Args:
        ufrag: ICE user fragment; another one is a restart.
        page: another one is another certificate, as after a reload.
        session: version of the session.
    """
    mids = " ".join(str(index) for index in range(len(lines)))
    fingerprint = ":".join([f"{page:02X}"] * 32)
    head = [
        "v=0",
        f"o=- {1000 + page} {session} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {mids}",
        "a=msid-semantic: WMS",
    ]
    body: list[str] = []
    for index, (kind, direction) in enumerate(lines):
        formats, attributes = _LINES[kind]
        body += [
            f"m={kind} 9 {formats}",
            "c=IN IP4 0.0.0.0",
            "a=rtcp:9 IN IP4 0.0.0.0",
            f"a=ice-ufrag:{ufrag}",
            "a=ice-pwd:abcdefghijklmnopqrstuvwx",
            f"a=fingerprint:sha-256 {fingerprint}",
            "a=setup:actpass",
            f"a=mid:{index}",
            f"a={direction}",
            "a=rtcp-mux",
            *attributes,
        ]
        if "send" in direction:
            body.append(f"a=ssrc:{page * 1000 + index + 1} cname:c")
    return "\r\n".join([*head, *body]) + "\r\n"
