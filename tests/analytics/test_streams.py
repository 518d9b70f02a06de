"""What is asked of Redis, so that nothing of a call stays there."""

from typing import Any, Self

from analytics.streams import KEPT_S, TAP_MESSAGES, Streams


class Client:
    """Remembers commands; the clock of Redis is the test's."""

    def __init__(self) -> None:
        self.now_ms = 50_000
        self.commands: list[tuple[Any, ...]] = []

    def pipeline(self, *, transaction: bool) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def xadd(self, name: str, fields: dict[str, bytes], *, maxlen: int, approximate: bool) -> None:
        self.commands.append(("add", name, fields["m"], maxlen))

    def xtrim(self, name: str, *, minid: int, approximate: bool) -> None:
        self.commands.append(("trim", name, minid))

    def expire(self, name: str, seconds: int) -> None:
        self.commands.append(("expire", name, seconds))

    async def execute(self) -> list[object]:
        return [b"%d-0" % self.now_ms, 1]


async def test_entries_are_kept_for_a_while_and_streams_not_longer() -> None:
    client = Client()
    streams = Streams(client, "n1")
    await streams.send(b"1")
    client.now_ms += 1_000
    await streams.send(b"2")
    name = "witness:n1:tap"
    assert client.commands == [
        ("add", name, b"1", TAP_MESSAGES),
        ("expire", name, KEPT_S["tap"]),
        ("add", name, b"2", TAP_MESSAGES),
        ("trim", name, 50_000 - KEPT_S["tap"] * 1_000),
        ("expire", name, KEPT_S["tap"]),
    ]
    client.commands.clear()
    await streams.tell(b"3")
    await streams.say(b"4")
    assert [item[0] for item in client.commands] == ["add", "expire"] * 2
