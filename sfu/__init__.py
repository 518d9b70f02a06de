"""Rooms, participants, tracks and subscriptions, and the negotiation that connects them.

Python decides here; the plane (``sfu._media``) moves packets. Nothing in this package does I/O:
everything is called on the event loop's thread and returns at once.
"""

from sfu import errors
from sfu.capture import CapturedFormat, CapturedTrack, CaptureFiles, CaptureTarget
from sfu.config import SfuConfig
from sfu.engine import EngineLike
from sfu.errors import SfuError
from sfu.listener import SfuListener
from sfu.model import (
    Answer,
    AudioProtection,
    EncodingDemand,
    Grant,
    Kind,
    Lines,
    MediaState,
    Offer,
    PlayoutDelay,
    Quality,
    Role,
    Score,
    Size,
    Source,
    Track,
    TrackDeclaration,
)
from sfu.participant import Participant
from sfu.room import Room
from sfu.sfu import Sfu
from sfu.snapshot import SfuSnapshot
from sfu.standing import Selection
from sfu.tap import RoomTaps, TappedTrack, TapTarget

__all__ = [
    "Answer",
    "AudioProtection",
    "CaptureFiles",
    "CaptureTarget",
    "CapturedFormat",
    "CapturedTrack",
    "EncodingDemand",
    "EngineLike",
    "Grant",
    "Kind",
    "Lines",
    "MediaState",
    "Offer",
    "Participant",
    "PlayoutDelay",
    "Quality",
    "Role",
    "Room",
    "RoomTaps",
    "Score",
    "Selection",
    "Sfu",
    "SfuConfig",
    "SfuError",
    "SfuListener",
    "SfuSnapshot",
    "Size",
    "Source",
    "TapTarget",
    "TappedTrack",
    "Track",
    "TrackDeclaration",
    "errors",
]
