"""Which payload types are forwarded and which of them mean the same."""

import pytest

from sfu.codecs import Format, RtpMap, formats_in_common, select_formats
from sfu.model import Kind

ALL = ("opus", "vp8", "vp9", "h264", "av1")


def rtp_map(name: str, parameters: dict[str, str] | None = None, **changes: object) -> RtpMap:
    values = {
        "payload_type": 96,
        "name": name,
        "clock_rate_hz": 48_000 if name == "opus" else 90_000,
        "channels": 2 if name == "opus" else 1,
        "parameters": parameters or {},
        "feedback": (),
    }
    return RtpMap(**{**values, **changes})  # type: ignore[arg-type]


def select(*maps: RtpMap, kind: Kind = Kind.VIDEO, transport_cc: bool = True) -> tuple[Format, ...]:
    return select_formats(maps, kind, ALL, transport_cc=transport_cc)


@pytest.mark.parametrize(
    ("item", "variant"),
    [
        (rtp_map("vp8"), ""),
        (rtp_map("vp9"), "profile=0"),
        (rtp_map("vp9", {"profile-id": "2"}), "profile=2"),
        (rtp_map("vp9", {"profile-id": "1"}), None),
        (rtp_map("av1"), "profile=0"),
        (rtp_map("av1", {"profile": "1"}), "profile=1"),
        (rtp_map("av1", {"profile": "x"}), None),
        (rtp_map("h264"), "pm=0;profile=baseline"),
        (
            rtp_map("h264", {"packetization-mode": "1", "profile-level-id": "42e01f"}),
            "pm=1;profile=constrained_baseline",
        ),
        (
            rtp_map("h264", {"packetization-mode": "1", "profile-level-id": "42C034"}),
            "pm=1;profile=constrained_baseline",
        ),
        (rtp_map("h264", {"profile-level-id": "42001f"}), "pm=0;profile=baseline"),
        (rtp_map("h264", {"profile-level-id": "4d001f"}), "pm=0;profile=main"),
        (rtp_map("h264", {"profile-level-id": "640c1f"}), "pm=0;profile=constrained_high"),
        (rtp_map("h264", {"profile-level-id": "64001f"}), "pm=0;profile=high"),
        (rtp_map("h264", {"profile-level-id": "ff001f"}), None),
        (rtp_map("h264", {"profile-level-id": "42e0"}), None),
        (rtp_map("h264", {"profile-level-id": "42 e01f"}), None),
        (rtp_map("h264", {"profile-level-id": "zzzzzz"}), None),
        (rtp_map("h264", {"packetization-mode": "2"}), None),
        (rtp_map("vp8", clock_rate_hz=48_000), None),
        (rtp_map("h265"), None),
    ],
)
def test_variants_tell_what_can_be_decoded(item: RtpMap, variant: str | None) -> None:
    selected = select(item)
    assert [found.variant for found in selected] == ([] if variant is None else [variant])


def test_opus_must_be_two_channels_at_48_khz() -> None:
    assert select(rtp_map("opus"), kind=Kind.AUDIO)
    assert not select(rtp_map("opus", channels=1), kind=Kind.AUDIO)
    assert not select(rtp_map("opus", clock_rate_hz=16_000), kind=Kind.AUDIO)


def test_retransmissions_are_paired_by_apt() -> None:
    rtx = rtp_map("rtx", {"apt": "96"}, payload_type=97)
    stray = rtp_map("rtx", {"apt": "1234"}, payload_type=98)
    assert select(rtp_map("vp8"), rtx, stray)[0].rtx_payload_type == 97
    assert select(rtp_map("vp8"), stray)[0].rtx_payload_type is None


def test_the_clients_order_is_kept_and_the_configuration_filters() -> None:
    maps = [rtp_map("h264", payload_type=1), rtp_map("vp8", payload_type=2), rtp_map("vp9")]
    assert [item.codec for item in select(*maps)] == ["h264", "vp8", "vp9"]
    only = select_formats(maps, Kind.VIDEO, ("vp8",), transport_cc=True)
    assert [item.codec for item in only] == ["vp8"]


@pytest.mark.parametrize(
    ("offered", "transport_cc", "kept"),
    [
        (("goog-remb", "transport-cc", "nack"), True, ("nack", "transport-cc")),
        (("goog-remb", "transport-cc", "nack"), False, ("nack", "goog-remb")),
        (("goog-remb",), True, ("goog-remb",)),
        (("ccm fir", "nack pli", "ack", "ccm tmmbr"), True, ("nack pli", "ccm fir")),
    ],
)
def test_feedback_prefers_transport_cc(
    offered: tuple[str, ...], transport_cc: bool, kept: tuple[str, ...]
) -> None:
    item = rtp_map("vp8", feedback=offered)
    assert select(item, transport_cc=transport_cc)[0].feedback == kept


def test_audio_takes_nack_and_transport_cc_only() -> None:
    item = rtp_map("opus", feedback=("nack", "nack pli", "transport-cc", "ccm fir"))
    assert select(item, kind=Kind.AUDIO)[0].feedback == ("nack", "transport-cc")


def test_answers_repeat_known_parameters_only() -> None:
    opus = rtp_map("opus", {"minptime": "10", "usedtx": "1", "cbr": "1"})
    assert dict(select(opus, kind=Kind.AUDIO)[0].parameters) == {
        "minptime": "10",
        "useinbandfec": "1",
    }
    h264 = rtp_map("h264", {"profile-level-id": "42e01f", "x-google-start-bitrate": "800"})
    assert dict(select(h264)[0].parameters) == {
        "profile-level-id": "42e01f",
        "level-asymmetry-allowed": "1",
    }


def test_common_formats_are_those_the_subscriber_has_for_the_publishers_codecs() -> None:
    publisher = select(rtp_map("vp8"), rtp_map("vp9", payload_type=98))
    subscriber = select(
        rtp_map("h264", payload_type=100),
        rtp_map("vp9", payload_type=101),
        rtp_map("vp9", {"profile-id": "2"}, payload_type=102),
        rtp_map("vp8", payload_type=103),
        rtp_map("vp8", payload_type=104),
    )
    common = formats_in_common(subscriber, publisher)
    assert [item.payload_type for item in common] == [101, 103, 104]


@pytest.mark.parametrize(
    ("fmtp", "channels", "expected"),
    [
        ("111/111", 2, 63),
        ("111/111/111/111", 2, 63),
        ("/".join(["111"] * 32), 2, 63),
        ("/".join(["111"] * 33), 2, None),
        ("111", 2, None),
        ("111/110", 2, None),
        ("110/110", 2, None),
        ("111/", 2, None),
        ("x/x", 2, None),
        ("١١١/١١١", 2, None),
        ("111/111", 1, None),
    ],
)
def test_redundant_payload_type_is_found_by_what_it_carries(
    fmtp: str, channels: int, expected: int | None
) -> None:
    red = rtp_map("red", {fmtp: ""}, payload_type=63, clock_rate_hz=48_000, channels=channels)
    opus = rtp_map("opus", payload_type=111)
    for offered, red_first in (((opus, red), False), ((red, opus), True)):
        (selected,) = select(*offered, kind=Kind.AUDIO)
        assert selected.red_payload_type == expected
        assert selected.red_first is (red_first and expected is not None)


def test_video_has_no_redundant_payload_type() -> None:
    red = rtp_map("red", {"96/96": ""}, payload_type=63, clock_rate_hz=48_000, channels=2)
    assert select(rtp_map("vp8"), red)[0].red_payload_type is None
