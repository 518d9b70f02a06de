"""A bad network made by the kernel: ``tc netem`` on the router between two namespaces.

The qdiscs sit on the router's devices, behind the sender's own: nobody is told of a drop. The
commands are made by functions without side effects, so that they are tested on kernels without
``sch_netem`` too.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.errors import PathError
from loadtest.netem.profile import Link, Traffic

__all__ = ["commands", "loss_arguments", "netem_arguments", "parse_counters", "why_no_netem"]

_MTU = 1_500
_PACKET_LIMIT = 100_000
"""netem drops what is beyond; far more than any delay of a call holds."""
_PARENT, _IMPAIRED, _OTHERS, _CHILD = "1:", "10:", "20:", "11:"


def why_no_netem(namespace: str) -> str | None:
    """Why the kernel has no netem; ``None`` if it has. Leaves nothing behind.

    Args:
        namespace: one that may be tried in.
    """
    command = ["tc", "-n", namespace, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    try:
        done = subprocess.run(  # noqa: S603 - names made here
            command, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "tc (iproute2) is not installed"
    if done.returncode != 0:
        return f"the kernel has no sch_netem: {done.stderr.strip()}"
    undo = ["tc", "-n", namespace, "qdisc", "delete", "dev", "lo", "root"]
    subprocess.run(undo, check=True)  # noqa: S603 - names made here
    return None


def commands(device: str, link: Link, traffic: Traffic, seed: int) -> list[list[str]]:
    """Arguments of ``tc`` that bring one direction into a state, from any state before.

    Args:
        device: of the router, toward the receiver.
        link: what happens to packets.
        traffic: what is impaired; the rest only has the delay.
        seed: of the kernel's random numbers.

    Raises:
        PathError: netem can't do this.
    """
    made = []
    parent = ["root"]
    if traffic is Traffic.UDP:
        # Everything goes into the second band but what the filters take out.
        bands = ["prio", "bands", "2", "priomap", *["1"] * 16]
        made.append(_qdisc(device, ["root", "handle", _PARENT], bands))
        for prio, (protocol, match) in enumerate((("ip", "ip"), ("ipv6", "ip6")), start=1):
            made.append(
                [
                    *("filter", "replace", "dev", device, "parent", _PARENT, "protocol", protocol),
                    *("prio", str(prio), "handle", f"80{prio}::1", "u32"),
                    *("match", match, "protocol", "17", "0xff", "flowid", f"{_PARENT}1"),
                ]
            )
        parent = ["parent", f"{_PARENT}1"]
        others = ["parent", f"{_PARENT}2", "handle", _OTHERS]
        made.append(_qdisc(device, others, netem_arguments(link.unimpaired(), seed)))
    made.append(_qdisc(device, [*parent, "handle", _IMPAIRED], netem_arguments(link, seed)))
    child = _child(link)
    if child:
        made.append(_qdisc(device, ["parent", f"{_IMPAIRED}1", "handle", _CHILD], child))
    return made


def _qdisc(device: str, where: Sequence[str], kind: Sequence[str]) -> list[str]:
    return ["qdisc", "replace", "dev", device, *where, *kind]


def netem_arguments(link: Link, seed: int) -> list[str]:
    """``netem`` and its parameters.

    Raises:
        PathError: netem lets some packets overtake all others, but can't hold some back.
    """
    if link.reorder_percent:
        raise PathError("tc netem can't hold single packets back (reorder_percent)")
    made = ["netem", "limit", str(_PACKET_LIMIT), "delay", f"{link.delay_ms:g}ms"]
    if link.jitter_ms:
        # Without a distribution it is even, so much to both sides.
        made.append(f"{link.jitter_ms:g}ms")
    made += loss_arguments(link)
    if link.duplicate_percent:
        made += ["duplicate", f"{link.duplicate_percent:g}%"]
    return [*made, "seed", str(seed)]


def loss_arguments(link: Link) -> list[str]:
    """``loss`` and its parameters.

    netem's ``gemodel P R 1-H 1-K``: to bad, to good, loss in the bad and in the good state. It
    changes its state after looking at it, this project's emulator before: shares and lengths of
    bursts are the same, single packets are not.
    """
    match link.loss.parameters():
        case (share,):
            return ["loss", "random", _percent(share)]
        case (to_bad, to_good, good, bad):
            return ["loss", "gemodel", *map(_percent, (to_bad, to_good, bad, good))]
    return []


def _percent(share: float) -> str:
    return f"{share * 100:.6g}%"


def _child(link: Link) -> list[str]:
    """What is behind the delay: the link's rate, else a queue that keeps the order."""
    if link.rate_kbps is not None:
        rate, wait = f"{link.rate_kbps:g}kbit", f"{link.queue_ms:g}ms"
        return ["tbf", "rate", rate, "burst", str(_MTU + 40), "latency", wait]
    if link.jitter_ms and not link.jitter_reorders:
        return ["pfifo", "limit", str(_PACKET_LIMIT)]
    return []


def parse_counters(text: str) -> tuple[int, int, int]:
    """Packets and bytes that left, and packets dropped, of the impaired qdisc.

    Args:
        text: what ``tc -s -j qdisc show dev DEVICE`` prints.

    Raises:
        PathError: it holds no such qdisc.
    """
    try:
        rows: list[Mapping[str, Any]] = json.loads(text)
        (row,) = (row for row in rows if row.get("handle") == _IMPAIRED)
        # A child's drops are counted by its parent as well.
        return int(row["packets"]), int(row["bytes"]), int(row["drops"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PathError("tc shows no counters of netem") from error
