"""``GET /debug/rooms``: what an administrator sees. Identifiers, states and numbers; no names."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sfu.snapshot import EngineView, RoomView, SfuSnapshot

__all__ = ["describe"]


def describe(snapshot: SfuSnapshot, members: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """JSON-ready state of the process.

    Args:
        snapshot: of the sfu.
        members: signaling's rooms, as ``Hub.describe()`` gives them.
    """
    signaling = {
        (room["room_id"], member["participant_id"]): member
        for room in members
        for member in room["participants"]
    }
    return {
        "draining": snapshot.draining,
        "engines": [_engine(engine) for engine in snapshot.engines],
        "rooms": [_room(room, signaling) for room in snapshot.rooms],
    }


def _engine(engine: EngineView) -> dict[str, Any]:
    plane = engine.snapshot
    return {
        "index": engine.index,
        "failed": engine.failed,
        "rooms": engine.rooms,
        "participants": engine.participants,
        "load": plane.load if plane else None,
        "backlog": engine.backlog,
        "commands_failed": engine.commands_failed,
        "transports": [
            {
                "transport": item.transport,
                "state": item.state,
                "rtt_s": item.rtt_s,
                "bytes_in": item.bytes_in,
                "bytes_out": item.bytes_out,
                "memory_bytes": item.memory_bytes,
            }
            for item in (plane.transports if plane else ())
        ],
    }


def _room(room: RoomView, signaling: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Any]:
    participants = []
    for participant in room.participants:
        entry = asdict(participant)
        member = signaling.get((room.room_id, participant.participant_id))
        entry["signaling"] = _own_facts(member) if member else None
        participants.append(entry)
    return {"room_id": room.room_id, "engine": room.engine, "participants": participants}


def _own_facts(member: Mapping[str, Any]) -> dict[str, Any]:
    """What signaling knows beyond the sfu."""
    known = {"participant_id", "role", "hidden", "media", "tracks"}
    return {key: value for key, value in member.items() if key not in known}
