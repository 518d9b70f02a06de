"""What the lines of a WHIP or WHEP offer are for, and whether they can be served as a whole.

Single lines are not rejected (RFC 9725, section 4.4.3): an offer is answered entirely or not.
"""

from typing import TYPE_CHECKING

from sfu.model import Grant, Kind, Source, TrackDeclaration
from sfu.sdp import RemoteDescription
from sfu.standing import Selection
from signaling.auth import Identity
from signaling.errors import ErrorCode
from signaling.http_member import HttpProtocol
from signaling.http_message import HttpRefusal

if TYPE_CHECKING:
    from sfu import Room

__all__ = ["declare", "has_something_for"]

_SOURCES = {
    Kind.AUDIO: (Source.MICROPHONE, Source.SCREEN_AUDIO),
    Kind.VIDEO: (Source.CAMERA, Source.SCREEN),
}


def declare(
    remote: RemoteDescription, protocol: HttpProtocol, grant: Grant
) -> tuple[TrackDeclaration, ...]:
    """The sources of an offer's lines; none for a viewer.

    The first audio line is the microphone and the second the sound of the screen, and likewise
    camera and screen, as far as the grant allows them.

    Raises:
        HttpRefusal: a line is not one of audio or video in the right direction, there are more
            than there are sources, or there is none.
    """
    taken: list[TrackDeclaration] = []
    publishes = protocol is HttpProtocol.WHIP
    for section in remote.sections:
        if not section.active:
            continue
        where = f"m-section {section.number}"
        if section.kind is None:
            raise _unusable(f"{where}: only audio and video over SRTP can be answered")
        if not (section.sends if publishes else section.receives):
            wanted = "sendonly" if publishes else "recvonly"
            raise _unusable(f"{where}: offer a={wanted}")
        if publishes:
            used = {item.source for item in taken}
            free = [
                source
                for source in _SOURCES[section.kind]
                if grant.may_publish(source) and source not in used
            ]
            if not free:
                raise _unusable(f"{where}: the grant allows no more {section.kind} tracks")
            taken.append(TrackDeclaration(section.mid, free[0]))
    if not any(section.active for section in remote.sections):
        raise _unusable("the offer has no m-line in use")
    return tuple(taken)


def has_something_for(identity: Identity, selection: Selection, room: "Room") -> bool:
    """Whether a viewer would be sent something.

    Raises:
        HttpRefusal: it asks for a track that isn't there, and so never will be.
    """
    visible = [
        item
        for item in room.publications.values()
        if item.owner.grant.role in identity.grant.subscribe
        and not item.owner.grant.hidden
        and item.track.participant_id != identity.participant_id
    ]
    known = {item.track.track_id for item in visible}
    if any(track_id not in known for track_id in selection.tracks):
        raise HttpRefusal(404, ErrorCode.UNKNOWN_TRACK, "no such track in this room")
    return any(selection.covers(item.track) for item in visible)


def _unusable(detail: str) -> HttpRefusal:
    return HttpRefusal(422, ErrorCode.BAD_SDP, detail)
