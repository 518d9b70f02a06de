import ast
import errno
import os
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from witness import os_errors
from witness.i18n import language, t
from witness.i18n_zh import CATALOGUE

ROOT = Path(__file__).parents[2]

TRANSLATED = {"t", "marked"}
"""Functions whose first argument is shown in the language of the environment."""

CARRIERS = {
    "contradiction",
    "KeyMaterialError",
    "AddressError",
    "ArchiveError",
    "CatalogueError",
    "DepositError",
    "IntegrityError",
    "JournalError",
    "MissingError",
    "PackageError",
    "QueryError",
    "RetainedError",
    "StorageError",
    "CanonicalError",
    "DamagedError",
    "EnvelopeError",
    "FlowError",
    "LogBusyError",
    "LogDamagedError",
    "LogError",
    "LogWriteError",
    "PlaybackError",
    "RecordingError",
    "SealError",
    "SessionFileError",
    "SessionStateError",
    "SigningError",
    "TimestampError",
    "TransparencyError",
    "UnknownNodeError",
    "DetectorConfigError",
    "DetectorError",
    "DetectorFailedError",
    "EvalError",
    "HostError",
    "LabelError",
    "ModelDigestError",
    "ModelError",
    "ModelInstallError",
    "ModelMissingError",
    "UnknownDetectorError",
    "UnknownModelError",
}
"""Errors of packages that know no language; the command line translates their texts."""


def calls(package: str, *names: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                yield path, node


def literals(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=one, orelse=other):
            return literals(one) + literals(other)
    return []


def shown_texts() -> set[str]:
    found = set()
    for package in ("witness", "signaling", "sfu", "recorder", "archive", "analytics"):
        for _, node in calls(package, *TRANSLATED, *CARRIERS):
            found.update(literals(node.args[0]))
    for package, file in (("signaling", "auth.py"), ("loadtest", "profile.py")):
        for path, node in calls(package, "ValueError"):
            if path.name == file and node.args:
                found.update(literals(node.args[0]))
    return found


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_texts_are_found_in_every_package() -> None:
    assert {
        "run the server",
        "No such file or directory",
        "give exactly one of secret, secret_file and public_key_file",
        "its first line is empty",
        "no address to advertise: advertised_addresses has none of a family listened on",
    } <= shown_texts()


def test_every_text_has_a_chinese_counterpart() -> None:
    assert sorted(shown_texts() - CATALOGUE.keys()) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(CATALOGUE.keys() - shown_texts()) == []


def test_settings_are_refused_with_texts_that_can_be_translated() -> None:
    for package in ("witness", "signaling", "sfu", "recorder", "archive"):
        for path, node in calls(package, "ValueError"):
            if path.name == "config.py":
                pytest.fail(f"{path}:{node.lineno}: raise contradiction(…) instead")


@pytest.mark.parametrize("text", sorted(CATALOGUE))
def test_translation_fills_in_the_same_values(text: str) -> None:
    assert fields(text) == fields(CATALOGUE[text])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
)
def test_language_follows_posix_precedence(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_text_without_translation_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert t("nobody translated this") == "nobody translated this"
    assert t("run the server") == "运行服务器"


@pytest.mark.parametrize(
    ("number", "english", "chinese"),
    [
        (errno.ENOENT, "No such file or directory", "没有那个文件或目录"),
        (errno.EACCES, "Permission denied", "权限不足"),
        (errno.EADDRINUSE, "Address already in use", "地址已被占用"),
        (errno.EISDIR, "Is a directory", "是一个目录"),
        (errno.EADDRNOTAVAIL, "this machine has no such address", "本机没有这个地址"),
        (errno.ENOSPC, "No space left on device", "设备上没有剩余空间"),
    ],
)
def test_reasons_of_the_system_are_translated(
    number: int, english: str, chinese: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(number, os.strerror(number))
    monkeypatch.setenv("LANG", "C")
    assert os_errors.reason(error) == english
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert os_errors.reason(error) == chinese
    assert os_errors.native_reason(f"listen: whatever (os error {number})") == chinese


def test_unknown_reasons_of_the_system_are_kept() -> None:
    assert os_errors.reason(OSError(errno.EXDEV, "Invalid cross-device link")) == (
        "Invalid cross-device link"
    )
    assert os_errors.native_reason("no number here") == "no number here"
