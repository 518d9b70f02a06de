from typing import Any

import pytest

from sfu._media import MediaError, ParameterError, Swarm

FINGERPRINT = ":".join(["AB"] * 32)
VALID: dict[str, Any] = {
    "remote": "127.0.0.1:9",
    "local_ufrag": "abcd",
    "local_password": "p" * 24,
    "remote_ufrag": "efgh",
    "remote_password": "q" * 24,
    "remote_fingerprint": FINGERPRINT,
    "extensions": [("mid", 4)],
    "streams": [("audio", 10, 111, 0), ("video", 11, 96, 1)],
}

pytestmark = pytest.mark.net


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"remote": "nowhere"}, "remote"),
        ({"remote": "192.0.2.1:9"}, "loopback"),
        ({"remote": "[::1]:9"}, "IPv4"),
        ({"remote_fingerprint": "AB"}, "remote_fingerprint"),
        ({"remote_fingerprint": FINGERPRINT + ":AB"}, "remote_fingerprint"),
        ({"extensions": [("unheard-of", 4)]}, "extensions"),
        ({"extensions": [("mid", 15)]}, "extensions"),
        ({"streams": [("text", 10, 111, 0)]}, "kind"),
        ({"streams": [("audio", 0, 111, 0)]}, "ssrc"),
        ({"streams": [("audio", 1, 128, 0)]}, "payload_type"),
        ({"streams": [("audio", 1, 111, 256)]}, "mid"),
    ],
)
def test_what_is_wrong_with_a_participant_is_named(change: dict[str, Any], named: str) -> None:
    swarm = Swarm(sockets=1)
    with pytest.raises(ParameterError, match=named):
        swarm.connect(**{**VALID, **change})
    assert swarm.connect(**VALID) == 0
    assert swarm.connect(**VALID) == 1
    report = swarm.report([0.5])
    assert (report.connected, report.failed, report.sampled) == (0, 0, 0)
    assert report.delays_s == [None]
    swarm.close()


@pytest.mark.parametrize("arguments", [{"sockets": 0}, {"sockets": 65}, {"cpu": 5_000}])
def test_settings_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        Swarm(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"audio": (-1.0, 100, 1)},
        {"audio": (float("nan"), 100, 1)},
        {"video": (1.0, 2_000, 1)},
        {"video": (1.0, 100, 0)},
        {"participants": -1},
    ],
)
def test_load_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    swarm = Swarm(sockets=1)
    valid: dict[str, Any] = {"participants": 1, "audio": (1.0, 100, 1), "video": (1.0, 100, 1)}
    with pytest.raises(ParameterError):
        swarm.load(**{**valid, **arguments}, busy=False)
    swarm.close()


def test_raw_limit_is_measured_and_a_closed_swarm_says_so() -> None:
    swarm = Swarm(sockets=2)
    protect_s, total_s = swarm.raw_limit(packet_bytes=1_100, packets=200)
    assert 0 < protect_s < total_s < 0.01
    swarm.close()
    swarm.close()
    with pytest.raises(MediaError, match="ended"):
        swarm.report()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda swarm: swarm.relocate(1), "participant 1"),
        (lambda swarm: swarm.impair(1, loss=0.5), "participant 1"),
        (lambda swarm: swarm.impair(0, loss=1.5), "loss"),
        (lambda swarm: swarm.impair(0, loss=float("nan")), "loss"),
        (lambda swarm: swarm.silence(0, ssrc=0, silent=True), "ssrc"),
        (lambda swarm: swarm.publish(0, stream=("text", 1, 96, 0)), "kind"),
        (lambda swarm: swarm.publish(0, stream=("video", 1, 96, 0), rid="hi"), "rid"),
        (lambda swarm: swarm.publish(0, stream=("video", 1, 96, 0), rid=""), "rid"),
        (lambda swarm: swarm.publish(0, stream=("video", 1, 96, 0), rid=";"), "rid"),
        (lambda swarm: swarm.disconnect(7), "participant 7"),
        (lambda swarm: swarm.disconnect(-1), "participant"),
    ],
)
def test_changes_of_nobody_and_out_of_range_are_refused(change: Any, named: str) -> None:
    swarm = Swarm(sockets=1)
    swarm.connect(**VALID)
    with pytest.raises(ParameterError, match=named):
        change(swarm)
    swarm.close()


def test_participants_that_are_gone_keep_their_place() -> None:
    swarm = Swarm(sockets=1)
    for _ in range(3):
        swarm.connect(**VALID)
    swarm.disconnect(1)
    swarm.relocate(1)
    swarm.publish(1, stream=("video", 12, 96, 2), rid="q")
    assert swarm.statuses() == [(False, None, [])] * 3
    swarm.close()
