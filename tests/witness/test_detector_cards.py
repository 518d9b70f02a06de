"""Cards of the detectors of this installation, as HTTP tells them."""

import asyncio
from typing import Any

import pytest

from analytics.cards import all_cards
from analytics.config import AnalyticsConfig
from analytics.registry import the_registry
from witness.detector_cards import KeptCards


async def test_cards_are_made_once_for_all_who_ask() -> None:
    made = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"detectors": [{"name": "b"}, {"name": "a"}]}

    kept = KeptCards(make)
    first, second = await asyncio.gather(kept.cards(), kept.cards())
    assert first == second == [{"name": "a"}, {"name": "b"}]
    assert await kept.card("b") == {"name": "b"}
    assert await kept.card("c") is None
    assert len(made) == 1


async def test_what_went_wrong_is_tried_again() -> None:
    tries = []

    def make() -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no disk")
        return {"detectors": []}

    kept = KeptCards(make)
    with pytest.raises(OSError, match="no disk"):
        await kept.cards()
    assert await kept.cards() == []


async def test_every_detector_of_this_installation_has_a_card() -> None:
    kept = KeptCards(lambda: all_cards(the_registry(), AnalyticsConfig()))
    cards = await kept.cards()
    assert {"face_presence", "picture_health", "transcript"} <= {card["name"] for card in cards}
    for card in cards:
        assert card["title"]["zh"]
        assert card["outcomes"]["unknown"]["en"]
