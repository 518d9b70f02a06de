import numpy as np
import pytest

from analytics.detectors.transcript import Transcript, TranscriptConfig
from loadtest.weaknet.scene import Sounds
from tests.fakes.speech import FakeRecogniser, LevelVoice
from witness.weaknet_speech import Compared, compare, rates

TEXT = "本产品不保本投资有风险"


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        (TEXT * 3, 0.0),
        (TEXT[4:] + TEXT * 2, 0.0),
        (TEXT * 2 + TEXT[:4], 0.0),
        (TEXT[:5] + "啊" + TEXT[5:] + TEXT * 2, 1 / 33),
        (TEXT + TEXT.replace("不", "") + TEXT, 1 / 33),
        (TEXT.replace("保", "爆") + TEXT * 2, 1 / 33),
        (TEXT, (22 - 8) / 33),
        ("", 1.0),
    ],
)
def test_error_rate_of_what_was_heard(heard: str, rate: float) -> None:
    compared = rates(TEXT * 3, heard, TEXT)
    assert compared.said == 0.0
    assert compared.heard == pytest.approx(rate, abs=1e-6)


def test_difference_is_to_what_was_said() -> None:
    wrong = TEXT.replace("险", "线")
    compared = rates(wrong * 3, wrong * 3, TEXT)
    assert compared.said == pytest.approx(1 / 11, abs=0.01)
    assert compared.difference == pytest.approx(0.0)


def test_nothing_said_is_unknown() -> None:
    assert rates("", TEXT, TEXT) == Compared(None, None, 0)
    assert rates(TEXT, TEXT, "") == Compared(None, None, 0)
    assert Compared(None, None, 0).as_json()["difference"] is None


def test_both_ends_are_recognised() -> None:
    at = np.arange(2 * 16_000) / 16_000
    speech = (8_000 * np.sin(2 * np.pi * 200 * at)).astype(np.int16)
    pause = np.zeros(16_000, np.int16)
    sound = np.concatenate([speech, pause])
    transcript = Transcript(
        TranscriptConfig(partial_results=False), LevelVoice(), FakeRecogniser(TEXT, TEXT[:10])
    )
    compared = compare(transcript, Sounds(sound, sound), TEXT)
    assert (compared.said, compared.characters) == (0.0, 11)
    assert compared.heard == 0.0, "a character at the end may have been cut off"
