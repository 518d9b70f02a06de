"""What signaling counts; the process makes metrics of it."""

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Stats"]


@dataclass(slots=True)
class Stats:
    """Totals since the start, and present numbers. All keys are from closed sets.

    Attributes:
        connections: open sockets.
        connections_opened: sockets since the start.
        connections_refused: sockets not opened, by ``origin``, ``total``, ``address``, ``version``.
        closed: sockets the server ended, by error code, ``left`` and ``lost``.
        messages_in: by message type; ``unknown`` for what could not be read.
        messages_out: frames handed to sockets, by kind ``numbered``, ``socket``, ``volatile``.
        errors: refusals by error code.
        hellos_refused: by cause: an error code, or why a token was not accepted.
        rate_limited: messages refused for their rate, by ``messages`` or ``bytes``.
        repeated: requests answered from memory.
        joins: by ``new``, ``takeover``, ``repeated``.
        resumes: by ``replay``, ``snapshot``, ``unknown``.
        left: participants gone, by reason.
        outbox_discarded: outboxes that passed their bounds.
        volatile_replaced: levels and quality that a newer one overtook.
        report_tracks_ignored: entries of quality reports for tracks that are gone.
        demo_tokens: tokens signed with the demo key.
        http_sessions: present sessions by protocol ``whip``, ``whep``.
        http_opened: sessions since the start, likewise.
        http_replaced: sessions a newer one of the same participant took over, likewise.
        http_requests: requests by protocol and class of the answer's status, ``2xx`` to ``5xx``.
    """

    connections: int = 0
    connections_opened: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    repeated: int = 0
    outbox_discarded: int = 0
    volatile_replaced: int = 0
    report_tracks_ignored: int = 0
    demo_tokens: int = 0
    connections_refused: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    messages_in: Counter[str] = field(default_factory=Counter)
    messages_out: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    hellos_refused: Counter[str] = field(default_factory=Counter)
    rate_limited: Counter[str] = field(default_factory=Counter)
    joins: Counter[str] = field(default_factory=Counter)
    resumes: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    http_sessions: Counter[str] = field(default_factory=Counter)
    http_opened: Counter[str] = field(default_factory=Counter)
    http_replaced: Counter[str] = field(default_factory=Counter)
    http_requests: Counter[tuple[str, str]] = field(default_factory=Counter)
