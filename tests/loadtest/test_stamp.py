import numpy as np
import pytest

from loadtest.stamp import MIN_WIDTH, STRIP_HEIGHT, elapsed_ms, read_stamp, write_stamp


def picture(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(16, 235, (304, 352), dtype=np.uint8)


@pytest.mark.parametrize("time_ms", [0, 1, 32_767, 32_768, 65_534, 65_535, 2**31, 2**32 - 1])
def test_stamp_comes_back(time_ms: int) -> None:
    luma = picture()
    write_stamp(luma, time_ms)
    assert read_stamp(luma) == time_ms


def test_stamp_wraps_and_the_difference_survives() -> None:
    luma = picture()
    write_stamp(luma, 2**32 - 5)
    sent = read_stamp(luma)
    assert sent is not None
    assert elapsed_ms(sent, 2**32 + 7) == 12
    assert elapsed_ms(sent, 7) == 12


def test_stamp_survives_compression_noise() -> None:
    luma = picture()
    write_stamp(luma, 123_456)
    noise = np.random.default_rng(2).integers(-60, 61, luma.shape)
    noisy = np.clip(luma.astype(int) + noise, 0, 255).astype(np.uint8)
    assert read_stamp(noisy) == 123_456


def test_picture_without_stamp_yields_nothing() -> None:
    assert read_stamp(picture()) is None
    assert read_stamp(np.full((304, 352), 128, np.uint8)) is None


def test_flipped_block_is_noticed() -> None:
    luma = picture()
    write_stamp(luma, 99)
    luma[-16:, :8] = 88 - luma[-16:, :8]
    assert read_stamp(luma) is None


def test_picture_that_is_too_small_yields_nothing() -> None:
    assert read_stamp(np.full((STRIP_HEIGHT - 1, MIN_WIDTH), 16, np.uint8)) is None
    assert read_stamp(np.full((STRIP_HEIGHT, MIN_WIDTH - 1), 16, np.uint8)) is None
