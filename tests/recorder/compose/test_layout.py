from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.compose.canvas import Rect, fit
from recorder.compose.fonts import CANDIDATES, find_font
from recorder.compose.layout import Layout, Tile, arrange
from recorder.compose.speaker import Speaker
from recorder.compose.texts import LANGUAGES, all_texts, say
from recorder.playback.errors import PlaybackError

AREA = Rect(0, 40, 1_280, 680)


@given(
    st.sampled_from(Layout),
    st.integers(1, 12),
    st.integers(0, 3),
    st.integers(0, 11),
    st.integers(80, 900).map(lambda v: v * 2),
    st.integers(60, 500).map(lambda v: v * 2),
)
def test_tiles_lie_inside_and_do_not_overlap(
    layout: Layout, people: int, documents: int, speaker: int, width: int, height: int
) -> None:
    tiles = [Tile(f"p{i}", is_document=True) for i in range(documents)]
    tiles += [Tile(f"p{i}") for i in range(people)]
    area = Rect(2, 20, width, height)
    places = arrange(layout, tiles, area, speaker=f"p{speaker}")
    assert set(places) == set(tiles)
    rects = list(places.values())
    for rect in rects:
        assert min(rect.width, rect.height) >= 2
        assert not (rect.left | rect.top | rect.width | rect.height) & 1
        assert area.left <= rect.left
        assert rect.left + rect.width <= area.left + area.width
        assert area.top <= rect.top
        assert rect.top + rect.height <= area.top + area.height
    for index, one in enumerate(rects):
        for other in rects[index + 1 :]:
            apart = one.left + one.width <= other.left or other.left + other.width <= one.left
            assert apart or one.top + one.height <= other.top or other.top + other.height <= one.top


def test_the_speaker_and_documents_stand_large() -> None:
    tiles = [Tile("d", is_document=True), Tile("a"), Tile("b")]
    spoken = arrange(Layout.SPEAKER, tiles[1:], AREA, speaker="b")
    assert spoken[tiles[2]].width > 2 * spoken[tiles[1]].width
    shown = arrange(Layout.DOCUMENT, tiles, AREA)
    assert shown[tiles[0]].width > 2 * shown[tiles[1]].width
    assert arrange(Layout.DOCUMENT, tiles[1:], AREA) == arrange(
        Layout.SIDE_BY_SIDE, tiles[1:], AREA
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1_280, 720), (640, 360)), ((720, 1_280), (202, 360)), ((640, 480), (480, 360))],
)
def test_pictures_keep_their_proportions(size: tuple[int, int], expected: tuple[int, int]) -> None:
    place = fit(*size, Rect(0, 0, 640, 360))
    assert (place.width, place.height) == expected


def test_the_speaker_changes_only_after_a_second() -> None:
    speaker = Speaker(25)
    for _ in range(50):
        speaker.hear({"a": 0.2, "b": 0.001})
    assert speaker.current == "a"
    for _ in range(10):
        speaker.hear({"b": 0.3})
    for _ in range(20):
        speaker.hear({"a": 0.3})
    assert speaker.current == "a"
    for _ in range(60):
        speaker.hear({"b": 0.2})
    assert speaker.current == "b"
    for _ in range(100):
        speaker.hear({})
    assert speaker.current == "b"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_both_languages(language: str) -> None:
    assert all(all_texts(language))
    assert say("attempt", language, node="x", attempt=2)
    assert say("role.auditor", language) == "auditor"


def test_a_font_that_is_missing_or_lacks_a_character_is_named() -> None:
    with pytest.raises(PlaybackError, match="there is no font file /nowhere"):
        find_font(["a"], Path("/nowhere"))
    with pytest.raises(PlaybackError, match="is no font that can be used"):
        find_font(["a"], Path(__file__))
    font = next((Path(name) for name in CANDIDATES if Path(name).exists()), None)
    if font is None:
        pytest.skip("no font is installed")
    assert find_font(["abc 123"], font) == font
    with pytest.raises(PlaybackError, match="lacks \U000e0001"):
        find_font(["a\U000e0001"], font)
    with pytest.raises(PlaybackError, match="no font on this machine has \U000e0001"):
        find_font(["a\U000e0001"])
