import json
import random
from itertools import groupby

import pytest

from loadtest.errors import PathError
from loadtest.netem.profile import Link, Loss, Traffic
from loadtest.netem.tc import commands, loss_arguments, netem_arguments, parse_counters
from witness.netem_profiles import load_profile, names

HALF_IN_BURSTS = "gemodel 12.5% 12.5% 100% 0%"


def lines(link: Link, traffic: Traffic = Traffic.ALL) -> list[str]:
    return [" ".join(command) for command in commands("s-router", link, traffic, seed=7)]


@pytest.mark.parametrize(
    ("link", "wanted"),
    [
        (
            Link(delay_ms=20, loss=Loss(percent=70)),
            ["root handle 10: netem limit 100000 delay 20ms loss random 70% seed 7"],
        ),
        (
            Link(delay_ms=20, loss=Loss(percent=50, mean_burst=8)),
            [f"root handle 10: netem limit 100000 delay 20ms loss {HALF_IN_BURSTS} seed 7"],
        ),
        (
            Link(delay_ms=200, jitter_ms=50),
            [
                "root handle 10: netem limit 100000 delay 200ms 50ms seed 7",
                "parent 10:1 handle 11: pfifo limit 100000",
            ],
        ),
        (
            Link(delay_ms=200, jitter_ms=50, jitter_reorders=True, duplicate_percent=1),
            ["root handle 10: netem limit 100000 delay 200ms 50ms duplicate 1% seed 7"],
        ),
        (
            Link(delay_ms=20, rate_kbps=300, queue_ms=250),
            [
                "root handle 10: netem limit 100000 delay 20ms seed 7",
                "parent 10:1 handle 11: tbf rate 300kbit burst 1540 latency 250ms",
            ],
        ),
    ],
)
def test_a_link_becomes_qdiscs(link: Link, wanted: list[str]) -> None:
    assert lines(link) == [f"qdisc replace dev s-router {line}" for line in wanted]


def test_only_udp_goes_through_the_impaired_band() -> None:
    made = lines(Link(delay_ms=20, loss=Loss(percent=70)), Traffic.UDP)
    assert made[0].endswith("root handle 1: prio bands 2 priomap " + " ".join(["1"] * 16))
    filters = [line for line in made if line.startswith("filter")]
    assert ["protocol ip " in line for line in filters] == [True, False]
    assert all("protocol 17 0xff flowid 1:1" in line for line in filters)
    assert (
        "qdisc replace dev s-router parent 1:2 handle 20: netem limit 100000 delay 20ms seed 7"
        in made
    )
    assert made[-1].startswith("qdisc replace dev s-router parent 1:1 handle 10: netem")


def test_every_shipped_profile_can_be_applied_but_for_held_back_packets() -> None:
    for name in names():
        for way in ("down", "up"):
            for _, link in load_profile(name).timeline(way):
                if link.reorder_percent:
                    with pytest.raises(PathError):
                        netem_arguments(link, 1)
                else:
                    assert netem_arguments(link, 1)[0] == "netem"


def shares(arguments: list[str]) -> list[float]:
    return [float(text.rstrip("%")) / 100 for text in arguments[2:]]


def kernel_losses(arguments: list[str], count: int) -> list[bool]:
    """What netem's model loses, as the kernel's loss_gilb_ell() decides it."""
    to_bad, to_good, bad, good = shares(arguments)
    chance = random.Random(1).random
    is_bad, lost = False, []
    for _ in range(count):
        if is_bad:
            if chance() < to_good:
                is_bad = False
            lost.append(chance() < bad)
        else:
            if chance() < to_bad:
                is_bad = True
            lost.append(chance() < good)
    return lost


@pytest.mark.parametrize("name", ["burst10", "burst30", "burst50", "burst70"])
def test_the_kernels_model_loses_what_the_profile_says(name: str) -> None:
    loss = load_profile(name).down.loss
    lost = kernel_losses(loss_arguments(load_profile(name).down), 200_000)
    lengths = [len(list(run)) for is_lost, run in groupby(lost) if is_lost]
    assert sum(lost) / len(lost) == pytest.approx(loss.percent / 100, abs=0.01)
    assert sum(lengths) / len(lengths) == pytest.approx(loss.mean_burst, rel=0.05)


def test_counters_are_those_of_the_impaired_qdisc() -> None:
    rows = [
        {"kind": "prio", "handle": "1:", "packets": 9, "bytes": 900, "drops": 4},
        {"kind": "netem", "handle": "10:", "packets": 5, "bytes": 500, "drops": 4},
        {"kind": "netem", "handle": "20:", "packets": 4, "bytes": 400, "drops": 0},
    ]
    assert parse_counters(json.dumps(rows)) == (5, 500, 4)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"handle": "10:"}]', "null"])
def test_other_output_of_tc_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        parse_counters(text)
