"""What ``witness detector`` says of detectors that don't do what they should."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import av
import numpy as np
import pytest

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    Needs,
    Permission,
    Scope,
    Subject,
    Text,
    VideoNeed,
)
from analytics.registry import Origin, Registry
from analytics.skeleton import write_skeleton
from witness import commands_detector
from witness.cli import main

TEXT = Text("一", "one")
Capture = pytest.CaptureFixture[str]


class Faulty:
    """Says on its second picture what a subclass tells it to."""

    name: ClassVar[str] = "faulty"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    card: ClassVar[Card] = Card(
        title=TEXT,
        summary=TEXT,
        scope=Scope.TRACK,
        permissions=frozenset({Permission.PICTURE}),
        kinds=(FindingKind("there", TEXT, TEXT),),
        limits=TEXT,
        unknown_when=TEXT,
    )

    def __init__(self) -> None:
        self.pictures = 0

    @classmethod
    def load(cls, config: DetectorConfig, models: object) -> Self:
        return cls()

    @property
    def needs(self) -> Needs:
        return Needs(video=VideoNeed(rate_hz=2, height=90))

    def watch(self, subject: Subject) -> "Faulty":
        return self

    def process(self, item: Any) -> Any:
        self.pictures += 1
        return self.second(item) if self.pictures == 2 else []

    def second(self, item: Any) -> Any:
        return []

    def flush(self, at_us: int) -> Sequence[Finding]:
        return []


class Raises(Faulty):
    name = "raises"

    def second(self, item: Any) -> Any:
        return item.nothing


class NoList(Faulty):
    name = "no_list"

    def second(self, item: Any) -> Any:
        return None


class NoFinding(Faulty):
    name = "no_finding"

    def second(self, item: Any) -> Any:
        return ["there"]


class Stranger(Faulty):
    name = "stranger"

    def second(self, item: Any) -> Any:
        return [Finding("elsewhere", 0, 1)]


class Backwards(Faulty):
    name = "backwards"

    def second(self, item: Any) -> Any:
        return [Finding("there", 2, 1)]


class NoFlush(Faulty):
    name = "no_flush"

    def flush(self, at_us: int) -> Any:
        raise ValueError("at the end")


class Watchless(Faulty):
    name = "watchless"

    def watch(self, subject: Subject) -> Any:
        return None


class Greedy(Faulty):
    name = "greedy"

    @property
    def needs(self) -> Needs:
        return Needs(video=VideoNeed(height=18_000))


class NoWatch(Faulty):
    name = "no_watch"

    def watch(self, subject: Subject) -> Any:
        raise ValueError("at the beginning")


class NoLoad(Faulty):
    name = "no_load"

    @classmethod
    def load(cls, config: DetectorConfig, models: object) -> Self:
        raise ValueError("no licence")


class Sound(Faulty):
    name = "sound"

    def second(self, item: Any) -> Any:
        return [Finding("there", 0, 1)]


KINDS = (
    Raises,
    NoList,
    NoFinding,
    Stranger,
    Backwards,
    NoFlush,
    NoWatch,
    Watchless,
    Greedy,
    NoLoad,
    Sound,
)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.delenv("WITNESS_CONFIG", raising=False)
    places = [(kind.name, Origin("bank", f"{__name__}:{kind.__name__}")) for kind in KINDS]
    broken = ("broken", Origin("bank", "no_such_module:Nothing"))
    monkeypatch.setattr(commands_detector, "the_registry", lambda: Registry([*places, broken]))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        for index in range(20):
            image = np.full((120, 160, 3), index, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
    return path


@pytest.mark.parametrize(
    ("name", "says", "traced"),
    [
        ("raises", r"raises failed at 0\.5 s of the media: AttributeError: .*nothing", True),
        ("no_list", r"no_list returned NoneType in place of a list at 0\.5 s", False),
        ("no_finding", r"no_finding said a str at 0\.5 s of the media, which is no", False),
        ("stranger", r"stranger found elsewhere at 0\.5 s .* its card does not have", False),
        ("backwards", r"backwards said something at 0\.5 s .* ends before it begins", False),
        ("no_flush", r"no_flush failed at 2\.0 s of the media: ValueError: at the end", True),
        ("no_watch", r"no_watch failed at 0\.0 s of the media: ValueError: at the beg", True),
        ("watchless", r"watchless failed at 0\.0 s .* returned NoneType, which is no watch", True),
        ("greedy", r"greedy can't say what it needs: ValueError: height must be 1 to 8192", True),
        ("no_load", r"no_load can't be loaded: ValueError: no licence", True),
        ("broken", r"no_such_module", False),
    ],
)
def test_a_fault_is_named_with_its_time_and_its_line(
    name: str, says: str, traced: bool, film: Path, capsys: Capture
) -> None:
    assert main(["detector", "run", name, str(film)]) == 1
    out, err = capsys.readouterr()
    assert re.search(says, err.splitlines()[-1]), err
    assert ("Traceback" in err) == traced, "whoever writes it wants to know where"
    assert out == ""


def test_a_sound_one_is_heard_and_all_leaves_out_what_can_not_be_had(
    film: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["detector", "run", "sound", str(film)]) == 0
    assert "there [warn]" in capsys.readouterr().out
    kept = [(kind.name, Origin("bank", f"{__name__}:{kind.__name__}")) for kind in (NoLoad, Sound)]
    broken = ("broken", Origin("bank", "no_such_module:Nothing"))
    monkeypatch.setattr(commands_detector, "the_registry", lambda: Registry([*kept, broken]))
    assert main(["detector", "run", "all", str(film)]) == 0
    out, err = capsys.readouterr()
    assert "there [warn]" in out
    assert "no_load is left out: no_load can't be loaded: ValueError: no licence" in err
    assert "broken is left out: " in err


def test_a_page_that_can_not_be_written_is_said_before_all_is_looked_at(
    film: Path, tmp_path: Path, capsys: Capture
) -> None:
    for place in (tmp_path / "nowhere" / "page.html", tmp_path):
        assert main(["detector", "run", "raises", str(film), "--html", str(place)]) == 1
        assert f"can't write to {place}: " in capsys.readouterr().err
    page = tmp_path / "page.html"
    assert main(["detector", "run", "raises", str(film), "--html", str(page)]) == 1
    assert not page.exists(), "nothing is left of what failed"


def test_a_name_that_is_taken_begins_nothing(tmp_path: Path, capsys: Capture) -> None:
    assert main(["detector", "new", "phone", "--in", str(tmp_path)]) == 1
    assert "there is a detector called phone already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["text", "detector", "needs", "models", "class_var", "dim_light"])
def test_a_new_detector_shadows_nothing_that_it_needs(name: str, tmp_path: Path) -> None:
    files = write_skeleton(name, tmp_path)
    (source,) = [path for path in files if path.name == "detector.py"]
    space: dict[str, Any] = {"__name__": "made"}
    exec(compile(source.read_text("utf-8"), str(source), "exec"), space)
    (kind,) = [value for value in space.values() if getattr(value, "name", None) == name]
    detector = kind.load(kind.Config(), None)
    assert detector.watch(Subject("s", "c", "t", "customer")).flush(1) == []
    assert detector.card.kinds[0].kind == f"{name}_dark"
