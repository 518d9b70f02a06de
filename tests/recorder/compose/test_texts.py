"""Names as fonts can write them."""

import pytest

from recorder.backfill.chunk import LossCause
from recorder.compose.texts import LANGUAGES, drawable, say


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("张三😀", "张三·"),
        ("a\u202eb\0\n", "ab"),
        ("👩\u200d💼RM\ufe0f", "··RM"),
        ("©2026 ℃ e\u0301", "©2026 ℃ é"),
        ("𠮷野家", "𠮷野家"),
    ],
)
def test_what_fonts_do_not_have_never_keeps_a_film_from_being_made(text: str, written: str) -> None:
    assert drawable(text) == written


def test_every_cause_of_a_gap_has_its_words() -> None:
    captured = ("network", "paused", "disk_full", "disk_slow", "disk_error", "log_lost", "crash")
    for cause in {*captured, *LossCause, "pending", "unknown"}:
        for language in LANGUAGES:
            assert say(f"cause.{cause}", language) != cause
