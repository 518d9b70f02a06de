"""Connection quality from the plane's figures."""

from types import SimpleNamespace

import pytest

from sfu import MediaState, Quality, Score
from sfu.quality import score
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene


@pytest.mark.parametrize(
    ("media", "loss", "rtt_s", "expected"),
    [
        (MediaState.NONE, None, None, Score.UNKNOWN),
        (MediaState.CONNECTING, 0.0, 0.01, Score.UNKNOWN),
        (MediaState.CONNECTED, None, None, Score.UNKNOWN),
        (MediaState.CONNECTED, 0.0, None, Score.GOOD),
        (MediaState.CONNECTED, None, 0.05, Score.GOOD),
        (MediaState.CONNECTED, 0.05, 0.01, Score.FAIR),
        (MediaState.CONNECTED, 0.0, 0.3, Score.FAIR),
        (MediaState.CONNECTED, 0.2, 0.01, Score.POOR),
        (MediaState.CONNECTED, 0.0, 0.8, Score.POOR),
        (MediaState.DISCONNECTED, 0.0, 0.01, Score.LOST),
        (MediaState.FAILED, None, None, Score.LOST),
    ],
)
def test_scores(
    media: MediaState, loss: float | None, rtt_s: float | None, expected: Score
) -> None:
    assert score(media, loss, rtt_s) is expected


def test_nothing_is_known_before_there_is_a_connection(scene: Scene) -> None:
    assert scene.join("a").quality() == Quality(None, None, None, Score.UNKNOWN)


def producer(
    producer_id: int, transport: int, *, packets: int, loss_ratio: float
) -> SimpleNamespace:
    return SimpleNamespace(
        producer=producer_id, transport=transport, packets=packets, loss_ratio=loss_ratio
    )


def test_the_worst_of_the_tracks_counts_in_each_direction(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    scene.call(b)
    scene.call(a)
    transport = scene.transport_of(a)
    scene.emit(Event.TransportStateChanged(transport, "connected"))
    scene.engine.stats.transports = [SimpleNamespace(transport=transport, rtt_s=0.04)]
    scene.engine.stats.producers = [
        producer(scene.producer_of(a, "audio"), transport, packets=100, loss_ratio=0.02),
        producer(scene.producer_of(a, "video"), transport, packets=0, loss_ratio=0.9),
        producer(scene.producer_of(b, "audio"), scene.transport_of(b), packets=10, loss_ratio=0.7),
    ]
    mine = [key for key, item in scene.engine.consumers.items() if item.transport == transport]
    scene.engine.stats.consumers = [
        SimpleNamespace(consumer=mine[0], transport=transport, loss_ratio=None),
        SimpleNamespace(consumer=mine[1], transport=transport, loss_ratio=0.07),
    ]
    scene.now_s += 1
    assert a.quality() == Quality(0.02, 0.07, 0.04, Score.FAIR)
