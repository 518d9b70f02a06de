"""Messages from the server: the data of replies and notices, and how they become text."""

from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sfu.model import Kind, MediaState, Role, Score, Source
from signaling.errors import ErrorCode

__all__ = [
    "ALL",
    "ANALYTICS",
    "FEATURES",
    "RECORDING",
    "AnswerReply",
    "Asked",
    "AskedConsent",
    "Bye",
    "ChallengeNotice",
    "ConsentNoted",
    "ConsentText",
    "ConsentsNotice",
    "Delivery",
    "DigestsKept",
    "Draining",
    "ErrorNotice",
    "FindingNotice",
    "FindingText",
    "GrantInfo",
    "Joined",
    "LayersWanted",
    "LeftReason",
    "LimitsInfo",
    "LineCounts",
    "MediaStateNotice",
    "MessageNotice",
    "MuteAsked",
    "MuteResult",
    "Negotiate",
    "Ok",
    "ParticipantConnection",
    "ParticipantInfo",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantQuality",
    "Playout",
    "PlayoutLine",
    "Pong",
    "ProtectedLine",
    "Protection",
    "PublishedLine",
    "QualityNotice",
    "Reach",
    "RecordingNotice",
    "Resumed",
    "Sent",
    "ServerData",
    "Speakers",
    "SubscribedLine",
    "TrackInfo",
    "TrackMuted",
    "TrackPublished",
    "TrackUnavailable",
    "TrackUnpublished",
    "UploadInfo",
    "WantedChunk",
    "WantedEncoding",
    "rfc3339",
]

FEATURES: tuple[str, ...] = ("layers", "protection", "dtls_server", "sdp_deflate")
"""Optional additions to the protocol every server of this version has."""

RECORDING = "recording"
"""The addition of servers that record."""

ANALYTICS = "analytics"
"""The addition of servers that watch calls: consents, and findings for RMs."""

Identifier = Annotated[str, Field(min_length=1, max_length=64)]
FindingName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@/-]{1,128}$")]
Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


def rfc3339(unix_s: float) -> str:
    """UTC with milliseconds."""
    moment = datetime.fromtimestamp(unix_s, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Delivery(Enum):
    """Whether a message carries ``re`` and ``seq``."""

    REPLY = "re and seq"
    SOCKET_REPLY = "re, no seq"
    NOTICE = "seq"
    SOCKET_NOTICE = "neither"
    ERROR = "either, both or none"


class Reach(StrEnum):
    """Whether a participant can be reached."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"


class LeftReason(StrEnum):
    """Why a participant is gone."""

    LEFT = "left"
    TIMEOUT = "timeout"
    REMOVED = "removed"
    EXPIRED = "expired"
    ROOM_CLOSED = "room_closed"


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


class ServerData(_Value):
    """The ``data`` of one type of server message."""

    type: ClassVar[str]
    delivery: ClassVar[Delivery]
    omit_none: ClassVar[bool] = False

    def data_json(self) -> str:
        """``data`` as JSON text."""
        return self.model_dump_json(by_alias=True, exclude_none=self.omit_none)


class ParticipantInfo(_Value):
    """A participant as others see it."""

    participant_id: Identifier
    role: Role
    name: str
    connection: Reach


class TrackInfo(_Value):
    """A published track."""

    track_id: Identifier
    participant_id: Identifier
    kind: Kind
    source: Source
    muted: bool


class LineCounts(_Value):
    """Receiving m-lines an offer must have in total."""

    audio: int = Field(ge=0)
    video: int = Field(ge=0)


class GrantInfo(_Value):
    """What the participant may do."""

    publish: tuple[Source, ...]
    subscribe: tuple[Role, ...]
    expires_at: Timestamp


class LimitsInfo(_Value):
    """What the server takes."""

    message_bytes: int
    messages_per_s: float
    text_chars: int


class _State(ServerData):
    protocol: Literal[1] = 1
    features: tuple[str, ...] = FEATURES
    participant_id: Identifier
    room_id: Identifier
    role: Role
    resume_token: str
    resume_window_s: float
    participants: tuple[ParticipantInfo, ...]
    tracks: tuple[TrackInfo, ...]
    lines: LineCounts
    ice_servers: tuple[dict[str, Any], ...] = ()
    grant: GrantInfo
    limits: LimitsInfo
    server_time: Timestamp
    media: MediaState


class Joined(_State):
    """Reply to ``join``."""

    type = "joined"
    delivery = Delivery.REPLY


class Resumed(_State):
    """Reply to ``resume``."""

    type = "resumed"
    delivery = Delivery.SOCKET_REPLY

    replay: bool
    latest_seq: int = Field(ge=0)


class PublishedLine(_Value):
    """An m-line on which the client sends."""

    mid: str
    track_id: Identifier


class SubscribedLine(_Value):
    """An m-line on which the client receives."""

    mid: str
    track_id: Identifier
    participant_id: Identifier


class AnswerReply(ServerData):
    """Reply to ``offer``; the SDP is deflated if that of the offer was."""

    type = "answer"
    delivery = Delivery.REPLY
    omit_none = True

    sdp: str | None = None
    sdp_deflate: str | None = None
    published: tuple[PublishedLine, ...]
    subscribed: tuple[SubscribedLine, ...]


class Ok(ServerData):
    """Reply without content."""

    type = "ok"
    delivery = Delivery.REPLY


class Asked(Ok):
    """Reply to ``mute.request``."""

    state: Literal["muted", "asked"]
    request_id: Identifier | None


class DigestsKept(Ok):
    """Reply to ``digest.batch``: what is no longer needed, and which batch is due."""

    settled_below: int = Field(ge=0)
    batches: int | None = Field(default=None, ge=0)


class Sent(Ok):
    """Reply to ``message``."""

    message_id: Identifier
    at: Timestamp


class ErrorNotice(ServerData):
    """Something was refused."""

    type = "error"
    delivery = Delivery.ERROR
    omit_none = True

    code: ErrorCode
    message: str
    field: str | None = None
    retry_after_s: float | None = Field(default=None, ge=0)


class Bye(ServerData):
    """Last message of a socket."""

    type = "bye"
    delivery = Delivery.SOCKET_NOTICE

    code: ErrorCode
    message: str


class Pong(ServerData):
    """Reply to ``ping``."""

    type = "pong"
    delivery = Delivery.SOCKET_NOTICE

    server_time: Timestamp


class ParticipantJoined(ServerData):
    """Somebody is here."""

    type = "participant.joined"
    delivery = Delivery.NOTICE

    participant: ParticipantInfo


class ParticipantLeft(ServerData):
    """Somebody is gone."""

    type = "participant.left"
    delivery = Delivery.NOTICE

    participant_id: Identifier
    reason: LeftReason


class ParticipantConnection(ServerData):
    """Somebody lost, or found again, both socket and media."""

    type = "participant.connection"
    delivery = Delivery.NOTICE

    participant_id: Identifier
    connection: Reach


class TrackPublished(ServerData):
    """A new track."""

    type = "track.published"
    delivery = Delivery.NOTICE

    track: TrackInfo


class TrackUnpublished(ServerData):
    """A track ended."""

    type = "track.unpublished"
    delivery = Delivery.NOTICE

    track_id: Identifier


class TrackMuted(ServerData):
    """A track was muted or unmuted."""

    type = "track.muted"
    delivery = Delivery.NOTICE

    track_id: Identifier
    muted: bool
    by: Identifier


class WantedEncoding(_Value):
    """Whether anybody wants an encoding; ``rid`` is null where there is only one."""

    rid: str | None
    wanted: bool


class LayersWanted(ServerData):
    """Which encodings of an own track the client shall send."""

    type = "layers.wanted"
    delivery = Delivery.NOTICE

    track_id: Identifier
    encodings: tuple[WantedEncoding, ...]


class TrackUnavailable(ServerData):
    """A subscribed track can't be sent to this participant."""

    type = "track.unavailable"
    delivery = Delivery.NOTICE

    track_id: Identifier
    reason: str


class Negotiate(ServerData):
    """The client must offer again."""

    type = "negotiate"
    delivery = Delivery.NOTICE

    audio: int = Field(ge=0)
    video: int = Field(ge=0)


class MediaStateNotice(ServerData):
    """State of the participant's own media."""

    type = "media.state"
    delivery = Delivery.NOTICE

    state: MediaState
    reason: str


class MessageNotice(ServerData):
    """A text message."""

    type = "message"
    delivery = Delivery.NOTICE

    message_id: Identifier
    from_: Identifier = Field(alias="from")
    to: Identifier | None
    text: str
    at: Timestamp


class MuteAsked(ServerData):
    """An RM asks to mute."""

    type = "mute.asked"
    delivery = Delivery.NOTICE

    request_id: Identifier
    track_id: Identifier
    by: Identifier
    expires_in_s: float


class MuteResult(ServerData):
    """How a request to mute ended."""

    type = "mute.result"
    delivery = Delivery.NOTICE

    request_id: Identifier
    track_id: Identifier
    accepted: bool
    reason: Literal["answered", "expired", "left"]


class Speakers(ServerData):
    """Loudness by track, dBov."""

    type = "speakers"
    delivery = Delivery.SOCKET_NOTICE

    active: Identifier | None
    levels: tuple[tuple[Identifier, Annotated[int, Field(ge=-127, le=0)]], ...]


class ParticipantQuality(_Value):
    """Connection quality of one participant."""

    participant_id: Identifier
    uplink_loss: float | None = Field(ge=0, le=1)
    downlink_loss: float | None = Field(ge=0, le=1)
    rtt_ms: float | None = Field(ge=0)
    score: Score


class QualityNotice(ServerData):
    """Connection quality of everybody."""

    type = "quality"
    delivery = Delivery.SOCKET_NOTICE

    participants: tuple[ParticipantQuality, ...]


class ProtectedLine(_Value):
    """Which copies the packets of a sending audio line should carry; the bit rate they leave."""

    mid: str
    offsets: tuple[Annotated[int, Field(ge=1, le=17)], ...] = Field(max_length=17)
    bitrate_bps: int | None = Field(gt=0)


class Protection(ServerData):
    """What a publisher should do about loss on its way up."""

    type = "protection"
    delivery = Delivery.SOCKET_NOTICE

    tracks: tuple[ProtectedLine, ...]
    floor_bps: int | None = Field(default=None, ge=1)

    @property
    def says_something(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.tracks) or self.floor_bps is not None


class PlayoutLine(_Value):
    """How long to hold the audio of a receiving line."""

    mid: str
    delay_ms: int = Field(ge=0, le=10_000)


class Playout(ServerData):
    """How long a subscriber should hold the audio it receives."""

    type = "playout"
    delivery = Delivery.SOCKET_NOTICE

    tracks: tuple[PlayoutLine, ...]

    @property
    def says_something(self) -> bool:
        """Whether there is anything to hold."""
        return bool(self.tracks)


class UploadInfo(_Value):
    """Where what the server lacks is uploaded."""

    url: str
    token: str
    expires_at: Timestamp


class RecordingNotice(ServerData):
    """Whether the room is recorded."""

    type = "recording"
    delivery = Delivery.NOTICE

    state: Literal["on", "paused", "off"]
    session_id: Identifier
    upload: UploadInfo | None


class WantedChunk(_Value):
    """A chunk of which the server lacks frames."""

    track_id: Identifier
    seq: int = Field(ge=0)
    have: tuple[Annotated[int, Field(ge=0, le=2**32 - 1)], ...] = Field(max_length=10_000)


class GapWant(ServerData):
    """What the server lacks of the client's own tracks."""

    type = "gap.want"
    delivery = Delivery.SOCKET_NOTICE

    session_id: Identifier
    chunks: tuple[WantedChunk, ...] = Field(max_length=16)
    more: int = Field(ge=0)


class AlertNotice(ServerData):
    """Something is wrong with the room's recording, or no longer; only an RM is told."""

    type = "alert"
    delivery = Delivery.NOTICE

    alert: Literal["capture", "seal", "completeness", "upload", "archive"]
    severity: Literal["info", "warning", "critical"]
    cause: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
    state: Literal["raised", "ended"]
    session_id: Identifier
    track_id: Identifier | None
    at: Timestamp


class ConsentText(_Value):
    """What somebody agrees to, in one language, and the SHA-256 of its UTF-8."""

    text: str = Field(min_length=1, max_length=4_000)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AskedConsent(_Value):
    """A consent that is asked for; ``consent_id`` is null where it isn't held."""

    permission: Literal["face", "identity", "voice", "speech"]
    held: bool
    consent_id: Identifier | None
    zh: ConsentText
    en: ConsentText


class ConsentsNotice(ServerData):
    """What the participant is asked to allow, and what is allowed."""

    type = "consents"
    delivery = Delivery.NOTICE

    consents: tuple[AskedConsent, ...] = Field(max_length=4)


class ConsentNoted(Ok):
    """A consent was noted, given or withdrawn; null: there was none to withdraw.

    It has effect in any case; ``written``: its event is on the disk.
    """

    consent_id: Identifier | None
    at: Timestamp
    written: bool


class FindingText(_Value):
    """A title or sentence in both languages."""

    zh: str = Field(max_length=2_000)
    en: str = Field(max_length=2_000)


class ChallengeNotice(ServerData):
    """What somebody is asked to do for the camera; detectors look whether he does."""

    type = "challenge"
    delivery = Delivery.NOTICE

    ask: Literal["blink", "turn", "turn_left", "turn_right", "open_mouth"]
    within_s: float = Field(ge=1, le=60)


class FindingNotice(ServerData):
    """What a detector found; only an RM is told."""

    type = "finding"
    delivery = Delivery.NOTICE

    finding_id: FindingName
    session_id: Identifier
    detector: FindingName
    kind: FindingName
    outcome: Literal["pass", "warn", "fail", "unknown"]
    severity: Literal["info", "warning", "critical"]
    state: Literal["open", "over"]
    participant_id: Identifier | None
    track_id: Identifier | None
    from_us: int = Field(ge=0)
    to_us: int = Field(ge=0)
    title: FindingText
    text: FindingText
    acknowledged_by: Identifier | None


class Draining(ServerData):
    """The server is going away."""

    type = "draining"
    delivery = Delivery.NOTICE

    deadline_s: float


ALL: tuple[type[ServerData], ...] = (
    Joined, Resumed, AnswerReply, Ok, Asked, Sent, DigestsKept, ConsentNoted, ErrorNotice,
    Bye, Pong,
    ParticipantJoined, ParticipantLeft, ParticipantConnection,
    TrackPublished, TrackUnpublished, TrackMuted, TrackUnavailable, LayersWanted,
    Negotiate, MediaStateNotice, MessageNotice, MuteAsked, MuteResult,
    Speakers, QualityNotice, Protection, Playout, RecordingNotice, GapWant, AlertNotice,
    ConsentsNotice, ChallengeNotice, FindingNotice, Draining,
)  # fmt: skip
"""Every server message."""
