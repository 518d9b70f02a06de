"""The published schema, and the documentation held to it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import sfu.errors
from signaling import notices
from signaling.errors import ErrorCode, HttpCode
from signaling.schema import SCHEMA_PATH, build_schema, schema_text
from signaling.schema.__main__ import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
MESSAGES = TEXT.partition("\n## Recorded sessions\n")[0]
"""What comes after it is HTTP."""
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", MESSAGES, re.DOTALL)]


def test_schema_is_valid_and_the_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    Draft202012Validator.check_schema(build_schema())
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text()
    assert main(["--check"]) == 0
    assert main(["--wrong"]) == 2
    assert "usage" in capsys.readouterr().err


def test_stale_schema_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v1.json"
    monkeypatch.setattr("signaling.schema.__main__.SCHEMA_PATH", path)
    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


@pytest.mark.parametrize("example", EXAMPLES, ids=[e["type"] for e in EXAMPLES])
def test_every_example_of_the_documentation_fits_the_schema(example: dict[str, Any]) -> None:
    Draft202012Validator(build_schema()).validate(example)


def test_documentation_has_an_example_of_every_message() -> None:
    shown = {example["type"] for example in EXAMPLES}
    clients = {
        ref["$ref"].rpartition("/")[2] for ref in build_schema()["$defs"]["ClientMessage"]["oneOf"]
    }
    names = {build_schema()["$defs"][c]["properties"]["type"]["const"] for c in clients}
    assert shown == names | {model.type for model in notices.ALL}


def test_documentation_explains_every_code_in_both_languages() -> None:
    table = re.findall(r"^\| ([a-z_]+) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    explained = {row[0]: row[2] for row in table}
    for code in [*ErrorCode, *HttpCode]:
        assert re.search(r"[\u4e00-\u9fff]", explained[code.value]), code


def test_every_error_of_the_media_scope_has_a_code_of_the_protocol() -> None:
    known = {code.value for code in ErrorCode}
    errors = [value for value in vars(sfu.errors).values() if isinstance(value, type)]
    codes = {error.code for error in errors if issubclass(error, sfu.errors.SfuError)}
    assert "bad_sdp" in codes
    assert codes <= known
