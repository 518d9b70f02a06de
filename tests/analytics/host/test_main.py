"""What a host that is started by hand says of bad input."""

import sys
from pathlib import Path

import pytest

from analytics.host.__main__ import main


@pytest.mark.parametrize(
    ("settings", "more", "says"),
    [
        (None, [], "can't read the settings {path}: No such file or directory\n"),
        ("{", [], "can't use the settings {path}: Invalid JSON"),
        (b"\xff", [], "can't use the settings {path}: 'utf-8' codec can't decode"),
        ('{"detectors": {"a b": {}}}', [], "can't use the settings {path}: detectors.a b"),
        ('{"limits": {"queue": 0}}', [], "can't use the settings {path}: limits.queue: Input sh"),
        ("{}", [], "either --redis, or --control and --tap, are needed\n"),
        ("{}", ["--tap", "3"], "either --redis, or --control and --tap, are needed\n"),
        (
            "{}",
            ["--redis", "http://x:secret@y"],
            "the URL of Redis must begin with redis://, rediss:// or unix://\n",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    settings: str | bytes | None,
    more: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "host.json"
    if settings is not None:
        path.write_bytes(settings if isinstance(settings, bytes) else settings.encode())
    monkeypatch.setattr(sys, "argv", ["host", "--config", str(path), *more])
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    assert main() in {1, 2}
    said = capsys.readouterr().err
    assert said.startswith(says.format(path=path)), said
    assert said.count("\n") == 1
    assert "secret" not in said


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "名"])
@pytest.mark.parametrize("option", ["--name", "--node"])
def test_names_are_short_and_plain(
    option: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["host", "--config", "x", option, name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "up to 64 of letters" in capsys.readouterr().err
