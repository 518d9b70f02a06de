"""Names as fonts can write them."""

import pytest

from recorder.compose.texts import drawable


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
