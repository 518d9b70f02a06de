"""Offers: recorded ones, and small ones made to order."""

from dataclasses import dataclass, field, replace
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "sdp"

RECORDED = sorted(path.stem for path in DATA.glob("*.sdp"))

FINGERPRINT_A = ":".join(["A1"] * 32)
FINGERPRINT_B = ":".join(["B2"] * 32)

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
TWCC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

Codec = tuple[str, list[str], str, int | None]
"""rtpmap, feedback, fmtp, payload type of its retransmissions."""

OPUS: Codec = ("111 opus/48000/2", ["transport-cc"], "minptime=10;useinbandfec=1", None)
VP8: Codec = ("96 VP8/90000", ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"], "", 97)
VP9: Codec = ("98 VP9/90000", ["nack", "nack pli", "transport-cc"], "profile-id=0", 99)
H264: Codec = (
    "102 H264/90000",
    ["nack", "nack pli", "transport-cc"],
    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    103,
)
AV1: Codec = (
    "45 AV1/90000",
    ["nack", "nack pli", "transport-cc"],
    "level-idx=5;profile=0;tier=0",
    46,
)


def recorded(name: str) -> str:
    """An offer from ``tests/data/sdp``."""
    return (DATA / f"{name}.sdp").read_bytes().decode()


@dataclass
class Line:
    """One m-section of an offer made to order."""

    kind: str
    direction: str
    mid: str
    codecs: list[Codec] = field(default_factory=list)
    ssrc: int | None = None
    port: int = 9

    def text(self, client: "Client") -> list[str]:
        if self.kind == "application":
            return [
                f"m=application {self.port} UDP/DTLS/SCTP webrtc-datachannel",
                "c=IN IP4 0.0.0.0",
                *client.transport(),
                f"a=mid:{self.mid}",
                "a=sctp-port:5000",
            ]
        codecs = self.codecs or ([OPUS] if self.kind == "audio" else [VP8, H264])
        numbers = []
        details = []
        for rtpmap, feedback, fmtp, rtx in codecs:
            number = rtpmap.split(" ")[0]
            numbers.append(number)
            details.append(f"a=rtpmap:{rtpmap}")
            details += [f"a=rtcp-fb:{number} {item}" for item in feedback]
            if fmtp:
                details.append(f"a=fmtp:{number} {fmtp}")
            if rtx:
                numbers.append(str(rtx))
                details += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={number}"]
        ssrcs = []
        if self.ssrc:
            ssrcs = [f"a=ssrc:{self.ssrc} cname:x"]
        return [
            f"m={self.kind} {self.port} UDP/TLS/RTP/SAVPF {' '.join(numbers)}",
            "c=IN IP4 0.0.0.0",
            *client.transport(),
            f"a=mid:{self.mid}",
            f"a=extmap:4 {MID_URI}",
            f"a=extmap:3 {TWCC_URI}",
            f"a={self.direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            *details,
            *ssrcs,
        ]


@dataclass
class Client:
    """A client connection that makes offers; m-lines are only ever added, as browsers do."""

    fingerprint: str = FINGERPRINT_A
    ufrag: str = "abcd"
    session: int = 1
    setup: str = "actpass"
    lines: list[Line] = field(default_factory=list)

    def add(self, kind: str, direction: str, codecs: list[Codec] | None = None) -> Line:
        """Adds a line."""
        line = Line(kind, direction, str(len(self.lines)), codecs or [])
        self.lines.append(line)
        return line

    def publish(self, *kinds: str) -> "Client":
        """Adds sending lines."""
        for kind in kinds or ("audio", "video"):
            self.add(kind, "sendonly")
        return self

    def receive(self, audio: int, video: int) -> "Client":
        """Adds receiving lines up to these numbers."""
        for kind, wanted in (("audio", audio), ("video", video)):
            have = sum(item.kind == kind and item.direction == "recvonly" for item in self.lines)
            for _ in range(wanted - have):
                self.add(kind, "recvonly")
        return self

    def transport(self) -> list[str]:
        return [
            f"a=ice-ufrag:{self.ufrag}",
            "a=ice-pwd:0123456789abcdefghijklmn",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            f"a=setup:{self.setup}",
        ]

    def reloaded(self, fingerprint: str = FINGERPRINT_B) -> "Client":
        """The same lines on a new connection."""
        return replace(
            self,
            fingerprint=fingerprint,
            ufrag="new" + self.ufrag,
            session=self.session + 1,
            lines=[replace(item) for item in self.lines],
        )

    @property
    def sdp(self) -> str:
        """The offer."""
        mids = " ".join(item.mid for item in self.lines if item.port)
        text = [
            "v=0",
            f"o=- {self.session} 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            *([f"a=group:BUNDLE {mids}"] if mids else []),
            "a=extmap-allow-mixed",
            *(row for line in self.lines for row in line.text(self)),
        ]
        return "\r\n".join(text) + "\r\n"


def section(sdp: str, number: int) -> list[str]:
    """Lines of the ``number``-th m-section, from 0."""
    parts = sdp.split("\r\nm=")
    return ("m=" + parts[number + 1]).strip().split("\r\n")


def direction(sdp: str, number: int) -> str:
    """Direction of the ``number``-th m-section, or ``rejected``."""
    rows = section(sdp, number)
    if rows[0].split(" ")[1] == "0":
        return "rejected"
    words = {"a=sendonly", "a=recvonly", "a=sendrecv", "a=inactive"}
    return next(row[2:] for row in rows if row in words)
