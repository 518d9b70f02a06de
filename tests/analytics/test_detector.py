"""What a detector may need."""

from collections.abc import Callable

import pytest

from analytics.detector import AudioNeed, Burst, Needs, VideoNeed

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: VideoNeed(rate_hz=0), "rate_hz"),
        (lambda: VideoNeed(rate_hz=-1), "rate_hz"),
        (lambda: VideoNeed(rate_hz=NAN), "rate_hz"),
        (lambda: VideoNeed(rate_hz=float("inf")), "rate_hz"),
        (lambda: VideoNeed(height=0), "height"),
        (lambda: VideoNeed(height=9_000), "height"),
        (lambda: VideoNeed(sources=frozenset({"摄像头"})), "sources"),
        (lambda: AudioNeed(chunk_ms=0), "chunk_ms"),
        (lambda: AudioNeed(chunk_ms=-32), "chunk_ms"),
        (lambda: AudioNeed(chunk_ms=100), "chunk_ms"),
        (lambda: AudioNeed(chunk_ms=3_200_000), "chunk_ms"),
        (lambda: AudioNeed(sources=frozenset({""})), "sources"),
        (lambda: Burst("challenge", 0, 1), "rate_hz"),
        (lambda: Burst("challenge", 5, NAN), "lasts_s"),
        (lambda: Needs(roles=frozenset({"客户"})), "roles"),
    ],
)
def test_what_nobody_can_give_is_refused_where_it_is_asked_for(
    make: Callable[[], object], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        make()


def test_what_is_at_the_limits_can_be_given() -> None:
    VideoNeed(rate_hz=120, height=8_192, burst=Burst("challenge", 0.1, 0.5))
    AudioNeed(chunk_ms=9_600)
    Needs(roles=frozenset({"customer", "rm"}))
