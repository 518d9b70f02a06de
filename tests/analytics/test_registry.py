import sys
from pathlib import Path

import pytest

from analytics.detector import Card, DetectorConfig, Permission, Scope, Text
from analytics.errors import DetectorError, UnknownDetectorError
from analytics.registry import BUILTIN, WITNESS, Origin, Registry, the_registry

_TEXT = Text("一", "one")
CARD = Card(
    title=_TEXT,
    summary=_TEXT,
    scope=Scope.TRACK,
    permissions=frozenset({Permission.PICTURE}),
    kinds=(),
    limits=_TEXT,
    unknown_when=_TEXT,
)


class Whole:
    name = "whole"
    version = "1"
    Config = DetectorConfig
    card = CARD
    needs = None

    def load(self) -> None: ...
    def watch(self) -> None: ...


class Misnamed(Whole):
    name = "else"


class Cardless(Whole):
    name = "cardless"
    card = None  # type: ignore[assignment]


class Configless(Whole):
    name = "configless"
    Config = dict  # type: ignore[assignment]


class Versionless(Whole):
    name = "versionless"
    version = ""


class Nothing:
    pass


def here(name: str) -> Origin:
    return Origin("bank-detectors", f"{__name__}:{name}")


def test_every_built_in_detector_can_be_imported() -> None:
    registry = the_registry()
    for name in BUILTIN:
        assert registry.find(name).name == name
        assert registry.origin(name).package == WITNESS


def test_detector_of_another_package_is_found() -> None:
    registry = Registry([("whole", here("Whole"))])
    assert registry.names == ("whole",)
    assert registry.find("whole") is Whole
    assert registry.find("whole") is Whole


def test_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownDetectorError, match="called nonsense; there are whole"):
        Registry([("whole", here("Whole"))]).find("nonsense")


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("gone", "no_such_module:Smile", "of bank-detectors can't be imported: ModuleNotFound"),
        ("gone", f"{__name__}:Gone", "can't be imported: AttributeError"),
        ("number", f"{__name__}:_TEXT", "is no detector: not a class"),
        ("nothing", f"{__name__}:Nothing", "is no detector: no load"),
        ("whole", f"{__name__}:Misnamed", "name is 'else', not 'whole'"),
        ("cardless", f"{__name__}:Cardless", "card is no Card"),
        ("configless", f"{__name__}:Configless", "Config is no DetectorConfig"),
        ("versionless", f"{__name__}:Versionless", "no version"),
    ],
)
def test_broken_detector_is_named_and_stops_no_other(name: str, target: str, message: str) -> None:
    origins = {"whole": here("Whole"), name: Origin("bank-detectors", target)}
    registry = Registry(origins.items())
    with pytest.raises(DetectorError, match=message):
        registry.find(name)
    if name != "whole":
        assert registry.find("whole") is Whole


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_module_that_raises_while_it_is_imported_is_named(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"raises_{error.lower()}"
    (tmp_path / f"{module}.py").write_text(f"raise {error}('no licence')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = Registry([("raises", Origin("bank-detectors", f"{module}:Raises"))])
    with pytest.raises(DetectorError, match=f"can't be imported: {error}: no licence"):
        registry.find("raises")


def test_name_given_twice_belongs_to_nobody() -> None:
    other = Origin("other-detectors", f"{__name__}:Whole")
    registry = Registry([("whole", here("Whole")), ("whole", other)])
    assert registry.names == ()
    message = "several packages give a detector called whole: bank-detectors, other-detectors"
    with pytest.raises(DetectorError, match=message):
        registry.find("whole")
    assert [str(error).partition(";")[0] for error in registry.clashes()] == [message]


def test_nobody_takes_a_name_from_witness() -> None:
    own = Origin(WITNESS, f"{__name__}:Whole")
    registry = Registry([("whole", Origin("evil", "evil:Whole")), ("whole", own)])
    assert registry.origin("whole") == own
    assert registry.find("whole") is Whole
    assert len(registry.clashes()) == 1


def test_entry_points_of_installed_packages_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "bank_detectors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bank-detectors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[witness.detectors]\nsmile = bank.smile:Smile\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path)])
    registry = the_registry()
    assert registry.origin("smile") == Origin("bank-detectors", "bank.smile:Smile")
    assert registry.clashes() == []
    with pytest.raises(DetectorError, match="smile of bank-detectors can't be imported"):
        registry.find("smile")
