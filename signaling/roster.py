"""Who is where: members by room, and the rooms of tracks."""

from collections.abc import Iterator, Mapping

from sfu.model import Track
from signaling.errors import IllegalTransitionError
from signaling.member import Member

__all__ = ["Roster"]


class Roster:
    """Members of all rooms. An empty room has no entry."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Member]] = {}
        self._by_id: dict[str, set[Member]] = {}
        self._track_rooms: dict[str, str] = {}

    def __len__(self) -> int:
        return sum(len(room) for room in self._rooms.values())

    def __iter__(self) -> Iterator[Member]:
        for room in list(self._rooms.values()):
            yield from list(room.values())

    @property
    def rooms(self) -> Mapping[str, Mapping[str, Member]]:
        """Members by participant id, by room id."""
        return self._rooms

    def add(self, member: Member) -> None:
        """Enters a member.

        Raises:
            IllegalTransitionError: there is one of that id.
        """
        room = self._rooms.get(member.room_id, {})
        if member.participant_id in room:
            raise IllegalTransitionError("the room has a member of that id")
        self._rooms.setdefault(member.room_id, room)[member.participant_id] = member
        self._by_id.setdefault(member.participant_id, set()).add(member)

    def remove(self, member: Member) -> None:
        """Takes a member out, if it is in."""
        room = self._rooms.get(member.room_id, {})
        if room.get(member.participant_id) is not member:
            return
        del room[member.participant_id]
        if not room:
            del self._rooms[member.room_id]
        namesakes = self._by_id[member.participant_id]
        namesakes.discard(member)
        if not namesakes:
            del self._by_id[member.participant_id]

    def get(self, room_id: str, participant_id: str) -> Member | None:
        """The member of that id in that room."""
        return self._rooms.get(room_id, {}).get(participant_id)

    def in_room(self, room_id: str) -> list[Member]:
        """The members of a room, in the order they came."""
        return list(self._rooms.get(room_id, {}).values())

    def others(self, member: Member) -> list[Member]:
        """The members of its room but itself."""
        return [other for other in self.in_room(member.room_id) if other is not member]

    def enter_track(self, track: Track) -> Member | None:
        """Remembers whose a new track is; the same participant id may be in several rooms."""
        for member in self._by_id.get(track.participant_id, ()):
            if track.track_id in member.participant.published:
                self._track_rooms[track.track_id] = member.room_id
                return member
        return None

    def owner_of(self, track: Track) -> Member | None:
        """Whose track it is."""
        room_id = self._track_rooms.get(track.track_id)
        return None if room_id is None else self.get(room_id, track.participant_id)

    def forget_track(self, track: Track) -> None:
        """The track is gone."""
        self._track_rooms.pop(track.track_id, None)
