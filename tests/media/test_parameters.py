"""Parameter objects, events and constants of the binding; no engine is started here."""

from collections.abc import Callable

import pytest

from sfu import _media
from sfu._media import (
    Certificate,
    CodecParameters,
    EncodingParameters,
    Engine,
    EngineBusyError,
    EngineClosedError,
    EngineConfigError,
    Event,
    MediaError,
    ParameterError,
)


def test_error_tree_has_one_root() -> None:
    for error in (EngineConfigError, EngineBusyError, EngineClosedError, ParameterError):
        assert issubclass(error, MediaError)
        assert error.__module__ == "sfu._media"
        assert error.__doc__
    assert issubclass(ParameterError, ValueError)
    assert not issubclass(EngineBusyError, ValueError)


def test_constants_are_fixed_and_ordered() -> None:
    assert len(set(_media.DROP_REASONS)) == len(_media.DROP_REASONS) == 32
    assert len(set(_media.STAGES)) == len(_media.STAGES) == 12
    assert _media.DROP_REASONS[0] == "malformed"
    assert list(_media.FORWARD_DELAY_BOUNDS_S) == sorted(_media.FORWARD_DELAY_BOUNDS_S)


def test_fingerprint_is_sha256_in_sdp_form_and_unique() -> None:
    one, other = Certificate().fingerprint, Certificate().fingerprint
    assert one != other
    pairs = one.split(":")
    assert len(pairs) == 32
    assert all(len(pair) == 2 and pair == pair.upper() for pair in pairs)
    bytes.fromhex("".join(pairs))


def test_parameters_give_back_what_they_were_made_of() -> None:
    codec = CodecParameters(
        codec="h264", payload_type=102, clock_rate_hz=90000, rtx_payload_type=103, variant="42e01f"
    )
    assert (codec.codec, codec.payload_type, codec.clock_rate_hz) == ("h264", 102, 90000)
    assert (codec.rtx_payload_type, codec.variant) == (103, "42e01f")
    assert codec == CodecParameters(
        codec="h264", payload_type=102, clock_rate_hz=90000, rtx_payload_type=103, variant="42e01f"
    )
    assert codec != CodecParameters(codec="h264", payload_type=102, clock_rate_hz=90000)
    assert repr(codec) == (
        "CodecParameters(codec='h264', payload_type=102, clock_rate_hz=90000, "
        'rtx_payload_type=103, red_payload_type=None, variant="42e01f")'
    )
    opus = CodecParameters(codec="opus", payload_type=111, clock_rate_hz=48000, red_payload_type=63)
    assert (opus.rtx_payload_type, opus.red_payload_type) == (None, 63)
    assert "red_payload_type=63" in repr(opus)
    encoding = EncodingParameters(rid="q", ssrc=1, rtx_ssrc=4294967295)
    assert (encoding.rid, encoding.ssrc, encoding.rtx_ssrc) == ("q", 1, 4294967295)
    assert encoding != EncodingParameters()
    assert repr(encoding) == "EncodingParameters(rid='q', ssrc=1, rtx_ssrc=4294967295)"
    assert repr(EncodingParameters()) == "EncodingParameters(rid=None, ssrc=None, rtx_ssrc=None)"


@pytest.mark.parametrize("payload_type", [0, 127])
def test_edge_payload_types_are_accepted(payload_type: int) -> None:
    codec = CodecParameters(codec="vp8", payload_type=payload_type, clock_rate_hz=90000)
    assert codec.payload_type == payload_type


MALFORMED_PARAMETERS: list[tuple[str, Callable[[], object]]] = [
    (
        'codec: must be one of opus, vp8, vp9, h264, av1, not "VP8"',
        lambda: CodecParameters(codec="VP8", payload_type=96, clock_rate_hz=90000),
    ),
    (
        "payload_type: must be 0..=127",
        lambda: CodecParameters(codec="vp8", payload_type=128, clock_rate_hz=90000),
    ),
    (
        "payload_type: must be 0..=127",
        lambda: CodecParameters(codec="vp8", payload_type=-1, clock_rate_hz=90000),
    ),
    (
        "payload_type: must be 0..=127",
        lambda: CodecParameters(codec="vp8", payload_type=10**40, clock_rate_hz=90000),
    ),
    (
        "rtx_payload_type: must be 0..=127",
        lambda: CodecParameters(
            codec="vp8", payload_type=96, clock_rate_hz=90000, rtx_payload_type=200
        ),
    ),
    (
        "clock_rate_hz: must be 1000..=384000",
        lambda: CodecParameters(codec="vp8", payload_type=96, clock_rate_hz=0),
    ),
    (
        "variant: must be 0..=255 bytes without control characters",
        lambda: CodecParameters(
            codec="vp8", payload_type=96, clock_rate_hz=90000, variant="a" * 256
        ),
    ),
    (
        "variant: must be 0..=255 bytes without control characters",
        lambda: CodecParameters(codec="vp8", payload_type=96, clock_rate_hz=90000, variant="a\0"),
    ),
    ("ssrc: must be 1..=4294967295", lambda: EncodingParameters(ssrc=0)),
    ("ssrc: must be 1..=4294967295", lambda: EncodingParameters(ssrc=2**32)),
    ("rtx_ssrc: must be 1..=4294967295", lambda: EncodingParameters(rtx_ssrc=0)),
    ("rid: must be 1..=32 letters, digits, '-' and '_'", lambda: EncodingParameters(rid="")),
    ("rid: must be 1..=32 letters, digits, '-' and '_'", lambda: EncodingParameters(rid="a b")),
    ("rid: must be 1..=32 letters, digits, '-' and '_'", lambda: EncodingParameters(rid="é")),
]


@pytest.mark.parametrize(("message", "make"), MALFORMED_PARAMETERS)
def test_malformed_parameter_is_refused_by_name_and_rule(
    message: str, make: Callable[[], object]
) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == message


def test_wrong_types_are_type_errors() -> None:
    with pytest.raises(TypeError, match="payload_type"):
        CodecParameters(codec="vp8", payload_type="96", clock_rate_hz=90000)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        CodecParameters("vp8", 96, 90000)  # type: ignore[call-arg]


LOOPBACK = "127.0.0.1:0"
REFUSED_SETTINGS: list[tuple[str, dict[str, object]]] = [
    ("listen: must be an address like", {"listen": ["localhost:0"]}),
    ("listen: must be an address like", {"listen": ["127.0.0.1"]}),
    ("listen: must be an address like", {"listen": ["127.0.0.1:65536"]}),
    ("listen: one or two addresses", {"listen": []}),
    ("listen: .* of one family", {"listen": [LOOPBACK, "127.0.0.2:0"]}),
    ("listen: .* must have the same port", {"listen": ["127.0.0.1:9", "[::1]:10"]}),
    ("name: must be 1..=15 bytes", {"name": ""}),
    ("name: must be 1..=15 bytes", {"name": "a" * 16}),
    ("max_rooms: must be 1..=1000000", {"max_rooms": 0}),
    ("max_rooms: must be 1..=1000000", {"max_rooms": -1}),
    ("max_transports: must be 1..=1000000", {"max_transports": 10**30}),
    ("min_bitrate_bps: must be 10000..=100000000000", {"min_bitrate_bps": 9_999}),
    ("start_bitrate_bps: must be 10000..=100000000000", {"start_bitrate_bps": -1}),
    ("max_bitrate_bps: must be 10000..=100000000000", {"max_bitrate_bps": 10**12}),
    ("event_queue: must be 16..=1048576", {"event_queue": 15}),
    ("event_queue: must be", {"event_queue": -1}),
]


@pytest.mark.parametrize(("message", "changed"), REFUSED_SETTINGS)
def test_unusable_setting_is_refused_by_name(message: str, changed: dict[str, object]) -> None:
    settings: dict[str, object] = {"certificate": Certificate(), "listen": [LOOPBACK], **changed}
    with pytest.raises(EngineConfigError, match=message):
        Engine(**settings)  # type: ignore[arg-type]


EVENTS: list[tuple[Event, tuple[object, ...]]] = [
    (Event.TransportStateChanged(1, "connected", "none"), (1, "connected", "none")),
    (Event.TransportSecured(1, "1.3", "aead_aes_128_gcm"), (1, "1.3", "aead_aes_128_gcm")),
    (Event.TransportMoved(1, "192.0.2.1:9"), (1, "192.0.2.1:9")),
    (Event.ProducerStarted(2, "vp8"), (2, "vp8")),
    (Event.ConsumerStarted(3), (3,)),
    (Event.AudioProtection(2, [1, 17], 20000), (2, [1, 17], 20000)),
    (Event.AudioProtection(2, [], None), (2, [], None)),
    (Event.UplinkFloor(1, 900_000), (1, 900_000)),
    (Event.UplinkFloor(1, None), (1, None)),
    (Event.PlayoutDelay(3, 260), (3, 260)),
    (Event.AudioLevels(4, [(2, 30)]), (4, [(2, 30)])),
    (Event.ActiveSpeaker(4, None), (4, None)),
    (Event.RoomPanicked(4, "boom"), (4, "boom")),
    (Event.CommandFailed("add_consumer", 3, "no room"), ("add_consumer", 3, "no room")),
    (Event.EventsDropped(5), (5,)),
    (Event.EngineFailed("boom"), ("boom",)),
]


@pytest.mark.parametrize(("event", "fields"), EVENTS)
def test_events_hold_their_fields_compare_and_hash(
    event: Event, fields: tuple[object, ...]
) -> None:
    names = type(event).__match_args__  # type: ignore[attr-defined]
    assert tuple(getattr(event, name) for name in names) == fields
    again = type(event)(*fields)
    assert again == event
    assert hash(again) == hash(event)
    assert isinstance(event, Event)
    with pytest.raises(AttributeError):
        setattr(event, names[0], 0)


def test_events_of_different_kinds_differ() -> None:
    assert len({event for event, _ in EVENTS}) == len(EVENTS)


def test_events_match_by_keyword_and_position() -> None:
    event: Event = Event.TransportStateChanged(transport=7, state="failed", reason="dtls_timeout")
    match event:
        case Event.TransportSecured():
            pytest.fail("matched another event")
        case Event.TransportStateChanged(transport=transport, state=state):
            assert (transport, state) == (7, "failed")
        case _:
            pytest.fail("matched nothing")
    match event:
        case Event.TransportStateChanged(7, "failed", reason):
            assert reason == "dtls_timeout"
        case _:
            pytest.fail("matched nothing")


def test_representation_leaves_out_the_address() -> None:
    assert repr(Event.TransportMoved(1, "192.0.2.1:9")) == (
        "Event.TransportMoved(transport=1, remote=...)"
    )
    assert repr(Event.TransportStateChanged(1, "new", "none")) == (
        "Event.TransportStateChanged(transport=1, state='new', reason='none')"
    )
    assert repr(Event.AudioLevels(4, [(2, 30)])) == "Event.AudioLevels(room=4, levels=[(2, 30)])"
    assert repr(Event.ActiveSpeaker(4, None)) == "Event.ActiveSpeaker(room=4, producer=None)"
