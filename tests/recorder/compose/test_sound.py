import numpy as np
import pytest

from recorder.compose.sound import RATE_HZ, Limiter, Mixer, PlacedSound
from recorder.playback.frames import TrackFrames
from tests.recorder.scene import Link, ListedTrack, audio_track, survey

BLOCK = 1_920


def tone(seconds: float, hertz: float = 440.0, loud: float = 0.25) -> np.ndarray:
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (loud * 32_767 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def beeps(seconds: int) -> np.ndarray:
    """20 ms of sound at every whole second, from 1 s on."""
    out = np.zeros(seconds * RATE_HZ, np.int16)
    for second in range(1, seconds):
        out[second * RATE_HZ :][:960] = tone(0.02, 1_000)
    return out


def placed(track: ListedTrack) -> PlacedSound:
    (found,) = survey(track)
    return PlacedSound(iter(TrackFrames(track, found)), 0)


def mixed(*tracks: ListedTrack, seconds: float) -> tuple[np.ndarray, list[frozenset[str]]]:
    mixer = Mixer({track.info.track: placed(track) for track in tracks}, BLOCK)
    blocks = list(mixer.blocks(int(seconds * 25)))
    return np.concatenate([block.samples for block in blocks]), [b.missing for b in blocks]


def onsets_s(sound: np.ndarray) -> list[float]:
    loud = np.abs(sound) > 0.05
    at = np.flatnonzero(loud)
    return [
        float(a) / RATE_HZ for a, b in zip(at, [-10_000, *at[:-1]], strict=True) if a - b > 4_800
    ]


def test_sound_lies_where_it_was_captured() -> None:
    sound, missing = mixed(audio_track("a", beeps(4), Link()), seconds=4.1)
    found = onsets_s(sound)
    assert len(found) == 3
    for second, at in enumerate(found, 1):
        assert abs(at - second - 0.020) < 0.006
    assert set(missing) == {frozenset()}


@pytest.mark.parametrize("ppm", [-300, -50, 50, 300])
def test_drift_is_followed_without_a_jump(ppm: float) -> None:
    """60 s at 300 ppm are 18 ms; no seam may be heard, no packet left out."""
    link = Link(drift_ppm=ppm, jitter_us=500)
    sound, _ = mixed(audio_track("a", tone(60), link), seconds=60)
    at = np.arange(len(sound))
    steady = sound[RATE_HZ:-RATE_HZ]
    assert float(np.abs(np.diff(steady, 2)).max()) < 0.25 * (2 * np.pi * 440 / RATE_HZ) ** 2 * 3
    assert at[-1] > 59 * RATE_HZ
    track = audio_track("a", beeps(60), link)
    found = onsets_s(mixed(track, seconds=60)[0])
    errors = [at - second / (1 + ppm * 1e-6) for second, at in enumerate(found, 1)]
    assert len(found) == 59
    assert max(errors) - min(errors) < 0.006


def test_missing_sound_is_silence_and_said() -> None:
    link = Link(outages_us=[(1_000_000, 2_000_000)])
    sound, missing = mixed(audio_track("a", tone(3), link), seconds=3)
    assert np.abs(sound[int(1.1 * RATE_HZ) : int(1.9 * RATE_HZ)]).max() == 0
    assert np.abs(sound[int(2.1 * RATE_HZ) : int(2.9 * RATE_HZ)]).max() > 0.2
    lacking = [index / 25 for index, names in enumerate(missing) if names]
    assert 0.9 < lacking[0] < 1.1
    assert 1.9 < lacking[-1] < 2.1
    assert len(lacking) > 22


def test_several_loud_voices_are_not_clipped() -> None:
    tracks = [
        audio_track(f"a{i}", tone(1, 300 + 70 * i, 0.9), Link(), ssrc=i + 1) for i in range(4)
    ]
    sound, _ = mixed(*tracks, seconds=0.9)
    assert 0.5 < np.abs(sound).max() <= 0.95


def test_the_limiter_leaves_quiet_sound_alone_and_comes_back() -> None:
    limiter = Limiter()
    quiet, loud = np.full(BLOCK, 0.2, np.float32), np.full(BLOCK, 3.0, np.float32)
    assert limiter.apply(quiet, quiet) is quiet
    assert np.abs(limiter.apply(quiet, loud)).max() <= 0.2
    assert np.abs(limiter.apply(loud, quiet)).max() <= 1.0
    for _ in range(60):
        out = limiter.apply(quiet, quiet)
    assert out is quiet


def test_levels_tell_who_speaks() -> None:
    loud, soft = audio_track("a", tone(1), Link()), audio_track("b", tone(1, loud=0.02), Link())
    mixer = Mixer({"a": placed(loud), "b": placed(soft)}, BLOCK)
    blocks = list(mixer.blocks(20))
    assert blocks[10].levels["a"] > 5 * blocks[10].levels["b"]
