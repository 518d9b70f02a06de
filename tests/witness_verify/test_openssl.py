"""The check on the page of evidence that needs none of our code, walked as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.recorder.evidence import Office, Shape, record

PAGE = Path(__file__).parents[2] / "docs/evidence.md"


def blocks() -> list[str]:
    part = PAGE.read_text().partition("## Checking with openssl alone")[2]
    found: list[str] = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    assert len(found) == 2
    return found


def walk(place: Path, block: str) -> subprocess.CompletedProcess[str]:
    shell = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(shell, cwd=place, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with keys and a package, the third in its log."""
    root = tmp_path_factory.mktemp("office")
    made = Office.made(root)
    for number in (1, 2, 3):
        place = record(root, f"r{number}", Shape(uploads=3, gaps=1), seed=number)
        made.seal(place, root / f"s{number}.zip")
    (root / "s3.zip").rename(root / "s1.zip")
    return root


def test_the_page_finds_a_package_whole(office: Path, tmp_path: Path) -> None:
    shutil.copytree(office / "keys", tmp_path / "keys")
    shutil.copy(office / "s1.zip", tmp_path)
    first, second = (walk(tmp_path, block) for block in blocks())
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("Signature Verified Successfully") == 2
    assert "Time stamp:" in first.stdout
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("Signature Verified Successfully") == 2
    session, event, manifest, leaf, node, root = second.stdout.splitlines()[:6]
    assert session.split()[0] == event.rpartition('"')[2]
    assert manifest.split()[0] == leaf.split()[0]
    assert node == root


@pytest.mark.parametrize(
    ("file", "block"),
    [
        ("events.jsonl", 0),
        ("manifest.json", 0),
        ("tsa/manifest.sig.tsr", 0),
        ("proofs/log.json", 1),
    ],
)
def test_the_page_finds_what_was_changed(
    office: Path, tmp_path: Path, file: str, block: int
) -> None:
    shutil.copytree(office / "keys", tmp_path / "keys")
    shutil.copy(office / "s1.zip", tmp_path)
    # Unpacked once for all, then changed: the page unpacks first.
    unpack, _, rest = blocks()[0].partition("\ncd s1\n")
    assert walk(tmp_path, unpack).returncode == 0
    path = tmp_path / "s1" / file
    data = bytearray(path.read_bytes())
    at = len(data) - 40
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    path.write_bytes(data)
    walked = walk(tmp_path / "s1", rest) if block == 0 else walk(tmp_path, blocks()[block])
    assert walked.returncode != 0, walked.stdout
