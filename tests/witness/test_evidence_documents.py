"""The commands of ``docs/evidence.md`` do what the page says."""

import re
from pathlib import Path

import pytest

from tests.e2e.documents import Shell, shell_blocks
from tests.recorder.evidence import record
from witness_verify.failure import CODES

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
async def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    keys, seal, verify, _mutations, by_openssl, links = shell_blocks("docs/evidence.md")
    (tmp_path / "recordings").mkdir()
    record(tmp_path / "recordings", "s1")
    shell = Shell(
        tmp_path,
        variables={
            "WITNESS_EVIDENCE__KEYS_DIRECTORY": "keys",
            "WITNESS_EVIDENCE__LOG_DIRECTORY": "log",
            "WITNESS_EVIDENCE__TSA_LOCAL": "true",
        },
    )
    await shell.run(keys)
    await shell.run(seal)
    assert "Verdict: PASS\n" in await shell.run(verify)
    said = await shell.run(by_openssl)
    assert said.count("Signature Verified Successfully") == 2
    assert "Time stamp:" in said
    said = await shell.run(links)
    first, prev, manifest, leaf, node, root = said.splitlines()[:6]
    assert prev.endswith(first.split()[0])
    assert leaf == f"{manifest.split()[0]} in the leaf"
    assert node == root
    assert said.count("Signature Verified Successfully") == 2


def test_every_code_stands_in_the_table() -> None:
    table = (ROOT / "docs/evidence.md").read_text().partition("## Codes")[2]
    assert set(re.findall(r"`([a-z_]+)`", table.partition("What each")[0])) - {"absent"} == set(
        CODES
    )
