"""What waits for the server at a host."""

from analytics.host.serve import Outgoing
from analytics.link import Found, KeyframeWanted, Status
from tests.witness.test_findings import found


async def test_what_waits_is_bounded_in_bytes_and_what_matters_least_goes_first() -> None:
    outgoing = Outgoing()
    big: Found = found(1, values={f"v{number}": "x" * 64 for number in range(16)})
    most = (32 << 20) // len(big.model_dump_json())
    outgoing.say(Status())
    for _ in range(most + 1):
        outgoing.say(big)
    lines = await outgoing.take()
    assert (outgoing.dropped, len(lines)) == (2, most)
    assert not [line for line in lines if b'"status"' in line], "the next says the same"
    outgoing.say(Status())
    assert len(await outgoing.take()) == 1, "what was taken counts no longer"
    outgoing.say(KeyframeWanted(tap=1))
    outgoing.clear()
    for _ in range(most):
        outgoing.say(big)
    assert outgoing.dropped == 2
