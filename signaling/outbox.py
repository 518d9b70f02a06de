"""What a participant was told and has not acknowledged, and what it was answered."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from signaling.errors import ErrorCode, IllegalTransitionError, RefusedError
from signaling.notices import Delivery, ServerData

__all__ = ["Outbox", "Reply", "ReplyCache", "encode"]


def encode(
    kind: type[ServerData], data_json: str, *, re: str | None = None, seq: int | None = None
) -> str:
    """One text frame.

    Args:
        kind: gives the type.
        data_json: the content.
        re: id of the request it answers; has only characters that need no escape.
        seq: number in the participation.
    """
    head = f'{{"type":"{kind.type}"'
    if re is not None:
        head += f',"re":"{re}"'
    if seq is not None:
        head += f',"seq":{seq}'
    return f'{head},"data":{data_json}}}'


class Outbox:
    """Numbered messages until they are acknowledged, bounded by count and bytes.

    ``base_seq`` is the number up to which nothing is kept: acknowledged or discarded.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._frames: dict[int, tuple[str, int, str | None]] = {}
        self.bytes = 0
        self.base_seq = 0
        self.latest_seq = 0
        self.acknowledged = False
        """Whether anything was acknowledged since ``expect_acknowledgement``."""

    def __len__(self) -> int:
        return len(self._frames)

    def expect_acknowledgement(self) -> None:
        """A socket was attached: from now on the client has to show that it follows."""
        self.acknowledged = False

    def append(self, kind: type[ServerData], data_json: str, *, re: str | None = None) -> bool:
        """Numbers and keeps a message.

        Returns:
            False when a bound is passed: then everything was discarded, this message included.
        """
        if kind.delivery in {Delivery.SOCKET_NOTICE, Delivery.SOCKET_REPLY}:
            raise IllegalTransitionError(f"{kind.type} is not numbered")
        self.latest_seq += 1
        frame = encode(kind, data_json, re=re, seq=self.latest_seq)
        size = len(frame.encode())
        self._frames[self.latest_seq] = (frame, size, re)
        self.bytes += size
        if len(self._frames) > self._max_messages or self.bytes > self._max_bytes:
            self.discard()
            return False
        return True

    def discard(self) -> None:
        """Forgets everything kept; the client needs the state afresh."""
        self._frames.clear()
        self.bytes = 0
        self.base_seq = self.latest_seq

    def acknowledge(self, seq: int) -> None:
        """Forgets everything up to ``seq``.

        Raises:
            RefusedError: beyond what was sent.
        """
        if seq > self.latest_seq:
            raise RefusedError(
                ErrorCode.BAD_MESSAGE, "nothing of that number was sent", field="data.seq"
            )
        self.acknowledged = True
        for gone in range(self.base_seq + 1, seq + 1):
            _, size, _ = self._frames.pop(gone)
            self.bytes -= size
        self.base_seq = max(self.base_seq, seq)

    def covers(self, last_seq: int) -> bool:
        """Whether everything after ``last_seq`` is kept."""
        return self.base_seq <= last_seq <= self.latest_seq

    def frame(self, seq: int) -> str | None:
        """The message of that number, if it is kept."""
        entry = self._frames.get(seq)
        return entry[0] if entry else None

    def answers_after(self, seq: int, request_id: str) -> bool:
        """Whether a kept message with a higher number answers that request."""
        numbers = range(max(seq, self.base_seq) + 1, self.latest_seq + 1)
        return any(self._frames[number][2] == request_id for number in numbers)

    def frames_after(self, seq: int) -> Iterator[str]:
        """The kept messages with higher numbers, in order."""
        for number in range(max(seq, self.base_seq) + 1, self.latest_seq + 1):
            yield self._frames[number][0]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was given, without its number."""

    kind: type[ServerData]
    data_json: str


class ReplyCache:
    """The last replies by request id; the oldest are forgotten first."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._replies: OrderedDict[str, Reply] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, request_id: str) -> Reply | None:
        """The reply to that request, if it is remembered."""
        return self._replies.get(request_id)

    def put(self, request_id: str, reply: Reply) -> None:
        """Remembers a reply; one too large for the bound is not remembered."""
        old = self._replies.pop(request_id, None)
        if old is not None:
            self.bytes -= len(old.data_json.encode())
        self._replies[request_id] = reply
        self.bytes += len(reply.data_json.encode())
        while len(self._replies) > self._max_messages or self.bytes > self._max_bytes:
            _, dropped = self._replies.popitem(last=False)
            self.bytes -= len(dropped.data_json.encode())

    def clear(self) -> None:
        """Forgets everything: the client counts its ids anew."""
        self._replies.clear()
        self.bytes = 0
