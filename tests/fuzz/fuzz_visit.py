"""Fuzzes joining by one request: lines of messages, of somebody new and of somebody present.

``python -m tests.fuzz.fuzz_visit --seconds 60``
"""

import json
import sys

from tests.fuzz.runner import instrumented, main

with instrumented("signaling"):
    from signaling.connection import Remote
    from tests.signaling.scene import Scene, check_server_frame
    from tests.signaling.test_visit import Caller

RENEW_AFTER = 2_000
"""Inputs after which the participants are made anew."""


class Target:
    """Feeds every input as it is, and after the hello of a participant that is there."""

    def __init__(self) -> None:
        self._count = 0
        self._renew()

    def _renew(self) -> None:
        self._scene = Scene()
        self._present = self._scene.join("rm-2")
        self._caller = Caller(self._scene)

    def __call__(self, data: bytes) -> None:
        self._count += 1
        if self._count % RENEW_AFTER == 0:
            self._renew()
        lines = data.decode("utf-8", "replace").splitlines()
        hello = json.dumps(self._caller.hello(f"h-{self._count // 50}"))
        for sent in (lines, [hello, *lines]):
            frames = self._scene.hub.visit(sent, Remote(local=False), self._scene.now)
            for frame in frames:
                check_server_frame(json.loads(frame))
            assert frames or not sent
        # Nobody else's socket is touched by what comes so.
        assert self._present.closed is None
        self._present.ack()
        self._scene.run(1.0)


def seeds() -> list[bytes]:
    """Good and nearly good requests."""
    caller = Caller(Scene())
    hello, offer = json.dumps(caller.hello()), json.dumps(caller.offer())
    leave = json.dumps({"type": "leave", "id": "l-1", "data": {}})
    return [
        "\n".join(lines).encode()
        for lines in ([hello], [hello, offer], [offer, hello], [offer], [hello, leave], ["", "{}"])
    ]


if __name__ == "__main__":
    sys.exit(main("visit", Target(), seeds()))
