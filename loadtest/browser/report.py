"""What a call page measured: entries of ``getStats()``, and whose tracks they belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["EMPTY", "Received", "Report"]


@dataclass(frozen=True, slots=True)
class Received:
    """One received track at one moment: who sends it, and the browser's figures."""

    track: Mapping[str, Any]
    stats: Mapping[str, Any]
    mime_type: str

    @property
    def kind(self) -> str:
        """``audio`` or ``video``."""
        return str(self.track["kind"])

    @property
    def amount(self) -> int:
        """Decoded pictures, or packets of sound, so far."""
        member = "framesDecoded" if self.kind == "video" else "packetsReceived"
        return int(self.stats.get(member, 0))


@dataclass(frozen=True, slots=True)
class Report:
    """What a page measured at one moment."""

    entries: Mapping[str, Mapping[str, Any]]
    tracks: Sequence[Mapping[str, Any]]
    state: str
    self_id: str
    stalled_s: float = 0.0
    """How long the page could not run, because the machine did something else."""

    def received(self, kind: str | None = None, owner: str | None = None) -> list[Received]:
        """Tracks that are being received, of one kind or participant if given."""
        inbound = {
            entry.get("trackIdentifier"): entry
            for entry in self.entries.values()
            if entry["type"] == "inbound-rtp"
        }
        return [
            Received(track, stats, self._mime_type(stats))
            for track in self.tracks
            if (stats := inbound.get(track["identifier"])) is not None
            and kind in {None, track["kind"]}
            and owner in {None, track["participant_id"]}
        ]

    def sent(self, kind: str) -> Mapping[str, Any]:
        """The outbound entry of one kind; empty before something was sent."""
        for entry in self.entries.values():
            if entry["type"] == "outbound-rtp" and entry["kind"] == kind:
                return entry
        return {}

    @property
    def local_candidate(self) -> Mapping[str, Any]:
        """Where media is sent from."""
        return self._candidate("localCandidateId")

    @property
    def remote_candidate(self) -> Mapping[str, Any]:
        """Where media is sent to."""
        return self._candidate("remoteCandidateId")

    def _candidate(self, member: str) -> Mapping[str, Any]:
        return self.entries[self.entries[self.transport["selectedCandidatePairId"]][member]]

    @property
    def transport(self) -> Mapping[str, Any]:
        """The one transport."""
        (found,) = (entry for entry in self.entries.values() if entry["type"] == "transport")
        return found

    def frames(self, owner: str | None = None) -> int:
        """Pictures decoded so far."""
        return sum(item.amount for item in self.received("video", owner))

    def energy(self, owner: str | None = None) -> float:
        """Sound energy so far: the sum over samples of squared full scale times seconds."""
        items = self.received("audio", owner)
        return float(sum(item.stats.get("totalAudioEnergy", 0) for item in items))

    def frozen_s(self) -> float:
        """How long pictures stood still in all, but for what the machine is to blame for."""
        frozen = sum(i.stats.get("totalFreezesDuration", 0) for i in self.received("video"))
        return max(0.0, float(frozen) - self.stalled_s)

    def _mime_type(self, stats: Mapping[str, Any]) -> str:
        return str(self.entries.get(str(stats.get("codecId")), {}).get("mimeType", ""))


EMPTY = Report({}, [], "none", "")
"""Before there is a call or a connection."""
