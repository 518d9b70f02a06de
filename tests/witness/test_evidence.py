import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorder.evidence import Shape, record
from witness.cli import main

TRUST = ["keys/seal-ed25519.crt", "keys/seal-sm2.crt", "keys/tsa.crt"]


@pytest.fixture(autouse=True)
def _office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty place with keys and local time-stamps."""
    monkeypatch.chdir(tmp_path)
    for key, value in (("KEYS_DIRECTORY", "keys"), ("LOG_DIRECTORY", "log"), ("TSA_LOCAL", "true")):
        monkeypatch.setenv(f"WITNESS_EVIDENCE__{key}", value)
    assert main(["keys", "init", "--name", "测试银行", "--local-tsa"]) == 0


def test_a_session_is_sealed_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, "s1", Shape(gaps=1))
    capsys.readouterr()
    assert main(["seal", "s1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verified"]
    assert told["path"] == "s1.zip"
    assert main(["verify", "s1.zip", "--trust", *TRUST]) == 1
    text = capsys.readouterr().out
    assert text.endswith("Verdict: PASS WITH DECLARED GAPS\n")
    assert main(["verify", "s1.zip", "--trust", *TRUST, "--lang", "zh"]) == 1
    assert capsys.readouterr().out.endswith("结论：通过，但有已声明的缺口\n")
    assert main(["verify", "s1.zip", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "signer_unknown"


def test_the_verifier_runs_alone(tmp_path: Path) -> None:
    record(tmp_path, "s1")
    assert main(["seal", "s1"]) == 0
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _ALONE, str(root), "s1.zip", "--trust", *TRUST],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_verifier_in_one_file_tells_by_its_exit_code(tmp_path: Path) -> None:
    record(tmp_path, "s1")
    assert main(["seal", "s1"]) == 0
    root = Path(__file__).parents[2]
    subprocess.run([root / "tools/verifier.sh", "v.pyz"], check=True, capture_output=True)
    for trust, code in ((TRUST, 0), (TRUST[:1], 2)):
        command = [sys.executable, "-I", "-S", "v.pyz", "s1.zip", "--trust", *trust]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _OLD], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, "nothing was verified, so it is FAIL"
    assert "needs Python 3.9 or newer; this is 3.8" in done.stderr


_OLD = """
import runpy, sys
sys.version_info = (3, 8)
runpy.run_path("v.pyz", run_name="__main__")
"""


NEWER_CALLS = {"zip": "strict", "dataclass": "slots"}
"""What Python 3.9 doesn't know: arguments, then names."""
NEWER_NAMES = {"UTC", "pairwise", "StrEnum", "Self", "batched", "TypeAlias", "ParamSpec"}


def test_the_verifier_is_written_for_python_3_9() -> None:
    for path in (Path(__file__).parents[2] / "witness_verify").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, feature_version=(3, 9))
        assert "from __future__ import annotations" in text or "def " not in text, path
        for item in ast.walk(tree):
            names = [one.name for one in getattr(item, "names", ()) if hasattr(one, "name")]
            assert not NEWER_NAMES & set(names), (path, names)
            if not isinstance(item, ast.Call):
                continue
            called = getattr(item.func, "id", getattr(item.func, "attr", ""))
            given = [word.arg for word in item.keywords]
            assert NEWER_CALLS.get(called) not in given or not given, (path, item.lineno)
            if called in {"from_bytes", "to_bytes"}:
                assert len(item.args) == 2, (path, item.lineno, "3.11 has a default byte order")


_ALONE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from witness_verify.__main__ import main
code = main()
outside = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
assert outside <= {"__main__", "witness_verify"}, outside
sys.exit(code)
"""


def test_a_head_kept_elsewhere_tells_a_log_that_was_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        record(tmp_path, f"s{number}", seed=number)
        assert main(["seal", f"s{number}"]) == 0
    capsys.readouterr()
    for start, name in ((0, "now"), (2, "from2")):
        assert main(["log", "head", "--from", str(start)]) == 0
        (tmp_path / name).write_text(capsys.readouterr().out)
    codes = [
        ("s3.zip", "now", 0, None),
        ("s1.zip", "from2", 0, None),
        ("s1.zip", "now", 2, "head_unproven"),
    ]
    for package, head, code, reason in codes:
        assert main(["verify", package, "--trust", *TRUST, "--head", head, "--json"]) == code
        assert json.loads(capsys.readouterr().out)["code"] == reason
    for path in (tmp_path / "log").iterdir():
        path.unlink()
    for number in range(4):
        record(tmp_path / "again", f"s{number}", seed=number)
        assert main(["seal", f"again/s{number}", "--out", f"again{number}.zip"]) == 0
    capsys.readouterr()
    assert main(["verify", "again3.zip", "--trust", *TRUST, "--head", "now", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "head"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seal", "nowhere"], "nowhere is no directory of a session, and recording.directory is"),
        (["keys", "init"], "keys already; they are never replaced"),
        (["keys", "init", "--name", "a/b"], "--name must be"),
        (["keys", "init", "--days", "0"], "--days must be"),
        (["log", "head"], "the transparency log has 0 entries"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in {1, 2}
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("witness: ")


def test_errors_are_said_in_chinese_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert main(["log", "head"]) == 1
    assert re.search("透明日志共有 0 条", capsys.readouterr().err)


def test_without_directories_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WITNESS_EVIDENCE__KEYS_DIRECTORY")
    assert main(["seal", "s1"]) == 1
    assert "WITNESS_EVIDENCE__KEYS_DIRECTORY" in capsys.readouterr().err
