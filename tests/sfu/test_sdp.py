"""Reading offers: recorded ones, malformed ones, and arbitrary text."""

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.errors import SdpError
from sfu.sdp import MAX_OFFER_CHARACTERS, parse_offer
from tests.sfu.offers import RECORDED, Client, recorded

MUTATIONS_PER_OFFER = 400


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_offers_are_understood(name: str) -> None:
    remote = parse_offer(recorded(name))
    assert [item.number for item in remote.sections] == list(range(1, len(remote.sections) + 1))
    if any(item.kind for item in remote.sections):
        assert remote.ice is not None
        assert remote.fingerprints


def test_a_chromium_offer_is_read_completely() -> None:
    remote = parse_offer(recorded("chromium_call"))
    audio, video = remote.sections[:2]
    assert (audio.kind, audio.sends, audio.receives) == ("audio", True, False)
    assert remote.sections[2].receives
    assert remote.setup == "actpass"
    assert remote.allow_mixed
    opus = audio.rtp_maps[0]
    assert (opus.name, opus.clock_rate_hz, opus.channels) == ("opus", 48000, 2)
    assert opus.parameters == {"minptime": "10", "useinbandfec": "1"}
    assert video.rtp_maps[0].name == "vp8"
    assert "nack pli" in video.rtp_maps[0].feedback
    assert video.ssrcs[0] is not None
    assert video.ssrcs[1] is not None


def test_payload_types_keep_the_order_of_the_m_line() -> None:
    remote = parse_offer(recorded("firefox_h264"))
    names = [item.name for item in remote.sections[1].rtp_maps]
    assert names[:5] == ["vp8", "rtx", "vp9", "rtx", "h264"]


def test_lines_with_the_same_codecs_are_read_alike_but_keep_their_own_order() -> None:
    client = Client().receive(0, 3)
    lines = client.sdp.split("\r\n")
    heads = [index for index, line in enumerate(lines) if line.startswith("m=video")]
    _, second, third = heads
    formats = lines[second].split(" ")[3:]
    assert len(formats) > 1
    lines[second] = " ".join([*lines[second].split(" ")[:3], *reversed(formats)])
    del lines[lines.index(f"a=rtcp-fb:{formats[0]} ccm fir", third)]
    own = [
        {item.payload_type: item for item in section.rtp_maps}
        for section in parse_offer("\r\n".join(lines)).sections
    ]
    assert [list(item) for item in own[:2]] == [
        [int(item) for item in formats],
        [int(item) for item in reversed(formats)],
    ]
    assert own[0] == own[1]
    assert "ccm fir" in own[1][int(formats[0])].feedback
    assert "ccm fir" not in own[2][int(formats[0])].feedback


def test_bundle_only_lines_are_active_and_stopped_lines_are_not() -> None:
    remote = parse_offer(recorded("firefox_call"))
    assert all(item.active for item in remote.sections)
    client = Client().publish()
    client.lines[1].port = 0
    assert [item.active for item in parse_offer(client.sdp).sections] == [True, False]


def test_firefox_announces_streams_on_lines_it_only_receives() -> None:
    sections = parse_offer(recorded("firefox_call")).sections
    assert [(item.kind, item.sends, item.receives) for item in sections] == [
        ("video", True, False),
        ("audio", True, False),
        ("audio", False, True),
        ("video", False, True),
    ]
    assert all(item.ssrcs[0] is not None for item in sections)
    assert [item.ssrcs[1] is not None for item in sections] == [True, False, False, False]


def test_streams_with_a_rid_have_no_announced_ssrc() -> None:
    remote = parse_offer(recorded("chromium_simulcast"))
    assert remote.sections[0].ssrcs == (None, None)


BASE = Client().publish().sdp


@pytest.mark.parametrize(
    ("old", "new", "text", "line"),
    [
        ("v=0\r\n", "v=1\r\n", "starts with 'v=0'", 1),
        ("o=- 1 2 IN IP4 127.0.0.1", "o=-", "o= line", 2),
        ("o=- 1 2 IN IP4 127.0.0.1\r\n", "", "o= line is missing", None),
        ("s=-", "hello", "<letter>=<value>", 3),
        ("m=audio 9 ", "m=audio x ", "m-line is malformed", 7),
        ("m=audio 9 ", "m=audio 70000 ", "above 65535", 7),
        ("SAVPF 111", "SAVPF 111 111", "listed twice", 7),
        ("SAVPF 111", "SAVPF 200", "0 to 127", 7),
        ("SAVPF 111", "SAVPF 0x6f", "0 to 127", 7),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:a", "a=ice-ufrag is malformed", 9),
        ("a=ice-ufrag:abcd\r\n", "", "a=ice-ufrag and a=ice-pwd are missing", None),
        ("a=setup:actpass\r\n", "", "a=setup is missing", None),
        ("a=setup:actpass", "a=setup:holdconn", "holdconn", 13),
        ("sha-256 A1:", "sha-256 ", "sha-256 has 32 bytes", 12),
        ("sha-256 ", "sha-1 ", "a=fingerprint with sha-256", None),
        ("a=mid:0\r\n", "", "a=mid is missing", None),
        ("a=mid:1", "a=mid:0", "used twice", None),
        ("a=mid:0", "a=mid:" + "m" * 17, "1 to 16", 14),
        ("a=extmap:4 urn", "a=extmap:x urn", "a=extmap is malformed", 15),
        ("a=extmap:3 ", "a=extmap:4 ", "used twice", 16),
        ("a=rtcp-mux\r\n", "", "rtcpMuxPolicy", None),
        ("BUNDLE 0 1", "BUNDLE 0", "bundlePolicy", None),
        ("a=group:BUNDLE 0 1\r\n", "", "bundlePolicy", None),
        ("a=rtpmap:111 opus", "a=rtpmap:999 opus", "a=rtpmap is malformed", 20),
        ("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/x", "a=rtpmap is malformed", 20),
        ("minptime=10", "minptime=ten", "a=fmtp is malformed", 22),
        ("a=rtcp-fb:111 ", "a=rtcp-fb:x ", "a=rtcp-fb is malformed", 21),
    ],
)
def test_errors_name_the_line_and_what_to_do(
    old: str, new: str, text: str, line: int | None
) -> None:
    assert old in BASE
    with pytest.raises(SdpError) as caught:
        parse_offer(BASE.replace(old, new))
    assert text in str(caught.value)
    assert caught.value.code == "bad_sdp"
    if line is not None:
        assert caught.value.line == line
        assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    ["a=ssrc:0 cname:x", "a=ssrc:4294967296 cname:x", "a=ssrc:x", "a=ssrc-group:FID x"],
)
def test_bad_ssrcs_are_refused(extra: str) -> None:
    with pytest.raises(SdpError):
        parse_offer(BASE + extra + "\r\n")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "send",
        "send ",
        "q;h",
        "both q;h",
        "send q;;h",
        "send q;h;",
        "send q,;h",
        "send q h",
        "send q recv",
        "send q recv h send f",
        "send rid=q;h",
        "send q\u00e4",
        "send " + "r" * 17,
        "send " + ";".join(f"r{index}" for index in range(17)),
        "send " + ",".join(f"r{index}" for index in range(9)),
    ],
)
def test_malformed_simulcast_is_refused(value: str) -> None:
    with pytest.raises(SdpError, match="a=simulcast is malformed"):
        parse_offer(BASE + f"a=simulcast:{value}\r\n")


def test_a_stream_described_twice_is_refused() -> None:
    with pytest.raises(SdpError, match="described twice"):
        parse_offer(BASE + "a=rid:q send\r\na=rid:q send\r\n")
    with pytest.raises(SdpError, match="more than 32 a=rid"):
        parse_offer(BASE + "".join(f"a=rid:{index} send\r\n" for index in range(33)))


def test_at_most_four_streams_are_taken() -> None:
    rids = [f"r{index}" for index in range(6)]
    extra = "".join(f"a=rid:{rid} send\r\n" for rid in rids)
    remote = parse_offer(BASE + extra + f"a=simulcast:send {';'.join(rids)}\r\n")
    assert remote.sections[-1].rids == ("r0", "r1", "r2", "r3")


@pytest.mark.parametrize(
    "extra",
    [
        "a=ssrc:12",
        "a=fmtp:99 apt=98",
        "a=rtcp-fb:99 nack",
        "a=rtcp-fb:* transport-cc",
        "a=candidate:x",
        "a=candidate:1 1 udp",
        "a=unheard:of",
        "a=",
        "b=AS:garbage",
        "a=extmap:20 urn:unknown with parameters",
        "a=extmap:4096 urn:unknown",
        "a=rid:a send",
        "a=simulcast:send a;b",
        "a=ssrc-group:FID 12 9999999999",
        "a=fmtp:96 max-fs = 12;; max-fr=30 ;",
    ],
)
def test_what_nobody_needs_is_passed_over(extra: str) -> None:
    assert len(parse_offer(BASE + extra + "\r\n").sections) == 2


def test_limits_of_size_and_sections() -> None:
    with pytest.raises(SdpError, match="characters"):
        parse_offer("v=0\r\n" + "a=x\r\n" * (MAX_OFFER_CHARACTERS // 5))
    many = Client()
    for _ in range(65):
        many.add("audio", "recvonly")
    with pytest.raises(SdpError, match="64"):
        parse_offer(many.sdp)
    del many.lines[64]
    assert len(parse_offer(many.sdp).sections) == 64
    with pytest.raises(SdpError, match="a=ssrc"):
        parse_offer(BASE + "".join(f"a=ssrc:{i} cname:x\r\n" for i in range(1, 40)))


def test_one_header_extension_id_means_the_same_in_all_lines() -> None:
    head, _, tail = BASE.rpartition("a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid")
    with pytest.raises(SdpError, match="something else"):
        parse_offer(f"{head}a=extmap:4 urn:3gpp:video-orientation{tail}")


def test_repeated_lines_do_not_add_up() -> None:
    extra = "a=rtcp-fb:* nack\r\na=rtcp-fb:* made-up\r\na=fmtp:96 max-fs=1\r\n"
    video = parse_offer(BASE + extra * 500).sections[1].rtp_maps[0]
    assert video.feedback.count("nack") <= 2
    assert "made-up" not in video.feedback


def test_a_single_line_needs_no_bundle_group() -> None:
    client = Client().publish("audio")
    remote = parse_offer(client.sdp.replace("a=group:BUNDLE 0\r\n", ""))
    assert remote.bundle == ()
    assert remote.ice is not None


def test_transport_attributes_may_stand_in_the_session_part() -> None:
    client = Client().publish()
    rows = client.transport()
    text = client.sdp
    for row in rows:
        text = text.replace(row + "\r\n", "")
    text = text.replace("a=extmap-allow-mixed", "\r\n".join(rows))
    remote = parse_offer(text)
    assert remote.ice is not None
    assert remote.ice.ufrag == "abcd"
    assert remote.setup == "actpass"


ATTRIBUTES = [
    *("rtpmap", "fmtp", "rtcp-fb", "extmap", "ssrc", "ssrc-group", "mid", "setup", "rid"),
    *("fingerprint", "ice-ufrag", "group"),
]


def _no_other_error(text: str) -> None:
    with contextlib.suppress(SdpError):
        parse_offer(text)


@settings(max_examples=300)
@given(st.text(max_size=400))
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    _no_other_error(text)


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(sorted(set(BASE.split("\r\n")))),
            st.builds(
                lambda name, value: f"a={name}:{value}",
                st.sampled_from(ATTRIBUTES),
                st.text(max_size=30),
            ),
        ),
        max_size=60,
    )
)
def test_shuffled_lines_are_read_or_refused(lines: list[str]) -> None:
    _no_other_error("\r\n".join(["v=0", "o=- 1 1 IN IP4 0.0.0.0", *lines]))


@pytest.mark.parametrize("name", RECORDED)
def test_mutated_offers_are_read_or_refused(name: str) -> None:
    source = recorded(name)
    rng = random.Random(name)
    for _ in range(MUTATIONS_PER_OFFER):
        _no_other_error(mutate(source, rng))


def mutate(text: str, rng: random.Random) -> str:
    """Breaks an offer a little: characters, numbers, lines."""
    lines = text.split("\r\n")
    for _ in range(rng.randint(1, 4)):
        index = rng.randrange(len(lines))
        line = lines[index]
        at = rng.randrange(len(line) + 1)
        match rng.randrange(8):
            case 0:
                lines[index] = (
                    line[:at] + chr(rng.choice([0, 9, 10, 32, 58, 0x2028, 0x0663])) + line[at:]
                )
            case 1:
                lines[index] = line[:at]
            case 2:
                lines[index] = line[:at] + line[at + 1 :]
            case 3:
                lines.insert(index, rng.choice(lines))
            case 4:
                del lines[index]
                lines = lines or [""]
            case 5:
                words = line.split(" ")
                words[rng.randrange(len(words))] = str(rng.choice([-1, 0, 127, 128, 2**32, 10**25]))
                lines[index] = " ".join(words)
            case 6:
                other = rng.randrange(len(lines))
                lines[index], lines[other] = lines[other], lines[index]
            case _:
                lines[index] = line[:at] + chr(rng.randrange(1, 0x250)) + line[at + 1 :]
    return "\r\n".join(lines)
