"""Detectors beside the server: what goes to their host, and what comes back.

The server gives the host media and says what may be done with it; what the host finds goes to a
:class:`FindingSink`. What the server knows of a call comes in through :class:`AnalyticsCalls`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from analytics.detector import Permission
from analytics.link import Found, Hello, Said, Status, Unknown

__all__ = ["AnalyticsCalls", "FindingSink"]


class FindingSink(Protocol):
    """Takes what detectors say; validated, but not yet believed.

    Called on the event loop's thread; must neither block nor raise. An open finding or unknown
    time comes again under the same ``finding_id`` when it grows and when it is over.
    """

    def found(self, found: Found) -> None:
        """A finding, or the next state of one."""

    def said(self, said: Said) -> None:
        """What somebody said; a partial result is replaced by the next of the same start."""

    def unknown(self, unknown: Unknown) -> None:
        """A time for which a detector can't say anything."""

    def status(self, status: Status) -> None:
        """How the host is, about every second."""

    def host(self, hello: Hello | None) -> None:
        """A host is there with these detectors; ``None``: there is none any more."""


class AnalyticsCalls(Protocol):
    """What has to be told of a call, by whoever knows it. Called on the event loop's thread."""

    def session_started(self, session_id: str, room_id: str, zero_ns: int) -> None:
        """A session of a room has begun; its clock was zero at this ``CLOCK_MONOTONIC``."""

    def session_ended(self, session_id: str) -> None:
        """Nothing more of this session is watched."""

    def consents(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        """What a participant allows from now on; nothing until told.

        Withdrawal closes what needs the consent before this returns, on the server's side, and
        within a second in the host.
        """

    def marked(
        self,
        session_id: str,
        kind: str,
        participant_id: str = "",
        data: Mapping[str, Any] | None = None,
        at_us: int | None = None,
    ) -> None:
        """Something happened in a session (:class:`analytics.detector.Mark`); now, by default."""
