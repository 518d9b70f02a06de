"""What the server and the analytics host say to each other: JSON lines, each one message.

Media takes another way (the tap socket); this carries what is watched, what may be watched, and
what was found. Both sides validate what they get: a host is a process that may have gone mad, and
may run on another machine.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

__all__ = [
    "MAX_LINE_BYTES",
    "MAX_PHOTO_BYTES",
    "MAX_PHOTO_SIDE",
    "MAX_US",
    "MIN_PHOTO_SIDE",
    "NO_HOST_PREFIX",
    "VERSION",
    "Consents",
    "Found",
    "FromHost",
    "Greet",
    "Hello",
    "IdPhoto",
    "IdPhotoDone",
    "KeyframeWanted",
    "Marked",
    "Said",
    "Status",
    "ToHost",
    "TrackEnded",
    "TrackStarted",
    "Unknown",
    "UnknownCause",
    "Wants",
    "from_host",
    "to_host",
]

VERSION: Final = 1
NO_HOST_PREFIX: Final = "no-host-"
"""Unknown times with such an id are the server's own word: no host can end them by going away."""

MAX_LINE_BYTES: Final = 65_536
"""Longer lines are refused and counted, by either side."""

MAX_PHOTO_BYTES: Final = 40_000
"""Of the photo on an identity document: a line has room for it, encoded."""
MIN_PHOTO_SIDE: Final = 64
MAX_PHOTO_SIDE: Final = 2_048
"""Pixels of each side of it."""

MAX_US: Final = 7 * 86_400 * 1_000_000
"""A session that is older stands still: its findings keep this time."""
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@/-]{0,128}$")]
_Kind = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@/-]{1,128}$")]
_Count = Annotated[int, Field(ge=0, le=1 << 53)]
_Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Us = Annotated[int, Field(ge=0, le=MAX_US)]
_Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Position = Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]
_Value = (
    Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
    | Annotated[str, Field(max_length=64)]
)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Greet(_Message):
    """The server has come: what was said before is over. The host says hello, and is told all."""

    type: Literal["greet"] = "greet"


class TrackStarted(_Message):
    """Media of a track comes by the tap from now on.

    Attributes:
        tap: number that its packets carry on the tap socket.
        clock_rate_hz: of its RTP timestamps.
    """

    type: Literal["track.started"] = "track.started"
    session_id: _Name
    room_id: _Name
    participant_id: _Name
    role: _Name
    track_id: _Name
    kind: Literal["audio", "video"]
    source: _Name
    codec: _Name
    clock_rate_hz: Annotated[int, Field(gt=0, le=1_000_000)]
    tap: Annotated[int, Field(ge=0)]
    at_us: _Us


class TrackEnded(_Message):
    """No more media of a track will come."""

    type: Literal["track.ended"] = "track.ended"
    track_id: _Name
    at_us: _Us


class Consents(_Message):
    """What may be done with a participant's media; replaces what was said before, at once."""

    type: Literal["consents"] = "consents"
    session_id: _Name
    participant_id: _Name
    permissions: frozenset[Literal["picture", "face", "identity", "voice", "speech"]]


class Marked(_Message):
    """Something happened in the session (:class:`analytics.detector.Mark`).

    ``participant.joined`` and ``participant.left`` say who is there, ``track.muted`` and
    ``track.unmuted`` (``data``: ``track_id``) what brings nothing for now, and ``session.ended``
    that all is over.
    """

    type: Literal["mark"] = "mark"
    session_id: _Name
    kind: _Name
    at_us: _Us
    participant_id: _Name = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)


class IdPhoto(_Message):
    """The photo on somebody's identity document, once it may be compared.

    It is said again to a host that comes, until one has said :class:`IdPhotoDone`.

    Attributes:
        data: JPEG or PNG; empty: there is none any more.
    """

    type: Literal["id_photo"] = "id_photo"
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    session_id: _Name
    participant_id: _Name
    data: Annotated[bytes, Field(max_length=MAX_PHOTO_BYTES, repr=False)]


class IdPhotoDone(_Message):
    """A photo is needed no more: it was compared, or can't be.

    Attributes:
        is_readable: false where it could not be decoded.
    """

    type: Literal["id_photo.done"] = "id_photo.done"
    session_id: _Name
    participant_id: _Name
    is_readable: bool = True


class Wants(_Message):
    """Which media a detector needs, and what it does with people.

    Attributes:
        video_height: of the picture that is enough; ``None``: no video.
        video_sources, audio_sources: empty: none.
        roles: whose; empty means everybody's.
    """

    permissions: frozenset[Literal["picture", "face", "identity", "voice", "speech"]]
    video_height: Annotated[int, Field(gt=0, le=8_192)] | None = None
    video_sources: frozenset[_Name] = frozenset()
    audio_sources: frozenset[_Name] = frozenset()
    roles: frozenset[_Name] = frozenset()


class Hello(_Message):
    """First line of a host: who it is and which detectors it has loaded.

    Said again when that changes. A host that has just come is then told all that is under way.

    Attributes:
        run: another one each time the host is started.
        detectors: version of each detector, by its name.
        wants: the same detectors.
    """

    type: Literal["hello"] = "hello"
    version: Literal[1] = VERSION
    host: _Name
    run: _Name = ""
    detectors: dict[_Name, _Name]
    wants: dict[_Name, Wants] = Field(default_factory=dict)


class KeyframeWanted(_Message):
    """The decoder of a tap can't go on. How often one is asked for, the media plane decides."""

    type: Literal["keyframe"] = "keyframe"
    tap: _Count


class _Frame(_Message):
    track_id: _Name
    at_us: _Us
    box: tuple[_Position, _Position, _Position, _Position] | None = None
    label: _Name = ""


class _Word(_Message):
    text: Annotated[str, Field(max_length=64)]
    start_us: _Us
    end_us: _Us


class Found(_Message):
    """A finding (:class:`analytics.detector.Finding`).

    Attributes:
        finding_id: the same for an open finding and for its end.
        models: digest of each model that took part, by its name.
    """

    type: Literal["found"] = "found"
    finding_id: _Name
    session_id: _Name
    detector: _Name
    detector_version: _Name
    kind: _Kind
    outcome: Literal["pass", "warn", "fail", "unknown"]
    start_us: _Us
    end_us: _Us
    participant_id: _Name = ""
    track_id: _Name = ""
    score: _Fraction | None = None
    is_open: bool = False
    values: Annotated[dict[_Name, _Value], Field(max_length=16)] = Field(default_factory=dict)
    frames: Annotated[tuple[_Frame, ...], Field(max_length=16)] = ()
    words: Annotated[tuple[_Word, ...], Field(max_length=64)] = ()
    models: Annotated[dict[_Name, _Name], Field(max_length=8)] = Field(default_factory=dict)


class Said(_Message):
    """Something a recogniser heard (:class:`analytics.detector.Utterance`)."""

    type: Literal["said"] = "said"
    session_id: _Name
    participant_id: _Name
    track_id: _Name
    detector: _Name
    detector_version: _Name
    start_us: _Us
    end_us: _Us
    text: Annotated[str, Field(max_length=2_000)]
    words: Annotated[tuple[_Word, ...], Field(max_length=512)] = ()
    confidence: _Fraction | None = None
    language: _Name = ""
    is_final: bool = True


class UnknownCause(StrEnum):
    """Why nobody knows what a detector would have found."""

    MODEL_MISSING = "model_missing"
    NO_CONSENT = "no_consent"
    CRASHED = "crashed"
    HUNG = "hung"
    OVERLOADED = "overloaded"
    NO_HOST = "no_host"
    UNDECODABLE = "undecodable"
    CONFIG = "config"
    NO_MEDIA = "no_media"
    """A track that is not muted brings nothing."""
    PAUSED = "paused"
    """The recording pauses: what is not recorded is not watched."""


class Unknown(_Message):
    """A detector did not watch for that time; open while it goes on, like a finding."""

    type: Literal["unknown"] = "unknown"
    finding_id: _Name
    session_id: _Name
    detector: _Name
    cause: UnknownCause
    start_us: _Us
    end_us: _Us
    participant_id: _Name = ""
    track_id: _Name = ""
    is_open: bool = False


class Status(_Message):
    """How the host is, every second or so; counters since its start.

    Attributes:
        seconds: processor time of the thread that runs each detector.
        restarts: of each detector.
        dropped: items not looked at, by detector and reason.
        queue_depth: items that wait, by detector.
        lag_ms: age of the newest item that was looked at, by detector.
        refused: lines of the server that were no messages, and messages of the tap that were none.
        shed_tracks: that are left out now because the host can't keep up with all.
        shed_packets: of such tracks, left out so far.
        unsaid: lines for the server that there was no room for.
    """

    type: Literal["status"] = "status"
    seconds: dict[_Name, _Amount] = Field(default_factory=dict)
    restarts: dict[_Name, _Count] = Field(default_factory=dict)
    dropped: dict[_Name, dict[_Name, _Count]] = Field(default_factory=dict)
    queue_depth: dict[_Name, _Count] = Field(default_factory=dict)
    lag_ms: dict[_Name, _Amount] = Field(default_factory=dict)
    decode_seconds: _Amount = 0.0
    refused: _Count = 0
    shed_tracks: _Count = 0
    shed_packets: _Count = 0
    unsaid: _Count = 0


ToHost: TypeAlias = Annotated[
    Greet | TrackStarted | TrackEnded | Consents | Marked | IdPhoto, Field(discriminator="type")
]
FromHost: TypeAlias = Annotated[
    Hello | Found | Said | Unknown | Status | KeyframeWanted | IdPhotoDone,
    Field(discriminator="type"),
]

_TO_HOST: Final[TypeAdapter[Any]] = TypeAdapter(ToHost)
_FROM_HOST: Final[TypeAdapter[Any]] = TypeAdapter(FromHost)


def to_host(line: bytes) -> ToHost:
    """What the server said.

    Raises:
        pydantic.ValidationError: it is no message.
    """
    message: ToHost = _TO_HOST.validate_json(line)
    return message


def from_host(line: bytes) -> FromHost:
    """What a host said.

    Raises:
        pydantic.ValidationError: it is no message.
    """
    message: FromHost = _FROM_HOST.validate_json(line)
    return message
