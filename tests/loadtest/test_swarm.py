from collections.abc import Sequence

import pytest

from loadtest.errors import LoadtestError
from loadtest.swarm import Line, describe, offer_sdp, parse_answer
from sfu.sdp import parse_offer

TWCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

ANSWER = "\r\n".join(
    [
        "v=0",
        "a=ice-ufrag:srv1",
        "a=ice-pwd:0123456789abcdef01234567",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:9 urn:of:something-else",
        f"a=extmap:3/sendrecv {TWCC}",
        "a=candidate:0 1 tcp 5 192.0.2.9 9 typ host tcptype passive",
        "a=candidate:1 1 udp 9 2001:db8::1 4000 typ host",
        "a=candidate:2 1 UDP 9 127.0.0.1 4000 typ host",
        "a=candidate:3 1 udp 8 192.0.2.1 4000 typ host",
        "",
    ]
)


def offer(receiving: Sequence[str]) -> str:
    return offer_sdp(
        ufrag="abcd",
        password="0123456789abcdef01234567",
        fingerprint=":".join(["AB"] * 32),
        ssrcs={"audio": 10, "video": 11},
        receiving=receiving,
        version=3,
    )


def test_offer_is_what_the_server_reads() -> None:
    parsed = parse_offer(offer(["audio", "video", "video"]))
    kinds = [(section.media, section.sends, section.receives) for section in parsed.sections]
    assert kinds == [
        ("audio", True, False),
        ("video", True, False),
        ("audio", False, True),
        ("video", False, True),
        ("video", False, True),
    ]


def test_a_longer_offer_keeps_its_lines() -> None:
    short, long = offer(["audio"]), offer(["audio", "video"])
    lines = [part.strip() for part in long.split("\r\nm=")]
    assert [part.strip() for part in short.split("\r\nm=")][1:] == lines[1:4]


def test_a_camera_in_several_sizes_is_offered_as_simulcast() -> None:
    lines = [Line("audio", "sendonly", 10), Line("video", "sendonly", 11, ("q", "h", "f"))]
    parsed = parse_offer(
        describe(
            lines,
            ufrag="abcd",
            password="0123456789abcdef01234567",
            fingerprint=":".join(["AB"] * 32),
            version=1,
        )
    )
    audio, video = parsed.sections
    assert (audio.ssrcs, audio.rids) == ((10, None), ())
    assert (video.ssrcs, video.rids) == ((None, None), ("q", "h", "f"))
    rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    assert (rid in audio.extensions, rid in video.extensions) == (False, True)
    assert lines[1].streams == ((11, "q"), (12, "h"), (13, "f"))


def test_first_ipv4_candidate_and_the_known_extensions_count() -> None:
    answer = parse_answer(ANSWER)
    assert answer.address == "127.0.0.1:4000"
    assert (answer.ufrag, answer.password) == ("srv1", "0123456789abcdef01234567")
    assert answer.fingerprint == ":".join(["AB"] * 32)
    assert dict(answer.extensions) == {"mid": 4, "transport_cc": 3}


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("127.0.0.1 4000", "IPv4 host candidate"),
        ("a=ice-ufrag", "ice-ufrag"),
        ("a=ice-pwd", "ice-pwd"),
        ("a=fingerprint", "fingerprint"),
    ],
)
def test_what_an_answer_lacks_is_named(left_out: str, named: str) -> None:
    rows = [row for row in ANSWER.split("\r\n") if left_out not in row]
    if left_out == "127.0.0.1 4000":
        rows = [row for row in rows if "192.0.2.1" not in row]
    with pytest.raises(LoadtestError, match=named):
        parse_answer("\r\n".join(rows))
