"""Fuzzes the signaling core: text frames into a fresh and into a joined connection.

``python -m tests.fuzz.fuzz_signaling --seconds 60``
"""

import json
import sys

from tests.fuzz.runner import instrumented, main

with instrumented("signaling"):
    from signaling.connection import Connection, ConnectionState
    from tests.signaling.scene import Scene
    from tests.signaling.test_messages import GOOD, NO_ID

RENEW_AFTER = 2_000
"""Inputs after which the participants are made anew."""


class Target:
    """Feeds every input to both connections and checks what must always hold."""

    def __init__(self) -> None:
        self._count = 0
        self._renew()

    def _renew(self) -> None:
        self._scene = Scene()
        self._rm = self._scene.join()

    def __call__(self, data: bytes) -> None:
        self._count += 1
        if self._count % RENEW_AFTER == 0:
            self._renew()
        text = data.decode("utf-8", "surrogateescape")
        fresh = self._scene.connect()
        self._feed(fresh.connection, text)
        fresh.lose()
        if self._rm.connection.state is ConnectionState.CLOSED:
            self._rm.lose()
            self._rm = self._scene.join()
        self._feed(self._rm.connection, text)
        self._scene.run(1.0)

    def _feed(self, connection: Connection, text: str) -> None:
        connection.receive_text(text, self._scene.now)
        frames = []
        while (frame := connection.next_frame()) is not None:
            frames.append(json.loads(frame))
        acknowledges = "ack" in text
        assert frames or connection.state is ConnectionState.CLOSED or acknowledges
        member = connection.member
        if member is not None and member.outbox.latest_seq > 400:
            member.outbox.acknowledge(member.outbox.latest_seq)


def seeds() -> list[bytes]:
    """One good message of every type, and what is no message."""
    messages = [
        {"type": kind, "data": data} | ({} if kind in NO_ID else {"id": "i-1"})
        for kind, data in GOOD.items()
    ]
    return [json.dumps(m, ensure_ascii=False).encode() for m in messages] + [b"[]", b"{}", b'"x"']


if __name__ == "__main__":
    sys.exit(main("signaling", Target(), seeds()))
