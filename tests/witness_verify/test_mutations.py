"""Nothing that was changed passes; nothing that was not changed fails."""

from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest

from tests.recorder.evidence import Office, Shape, record
from tests.witness_verify.tampering import KINDS, Stage, tampered
from witness_verify import verify
from witness_verify.asn1 import Certificate
from witness_verify.failure import CODES


def check(seeds: range, stage: Stage, trusted: list[Certificate]) -> Counter[str]:
    whole = {path.read_bytes() for path in stage.packages}
    codes: Counter[str] = Counter()
    for seed in seeds:
        name, data = tampered(seed, stage)
        assert data not in whole, f"seed {seed}: {name} changed nothing"
        result = verify(BytesIO(data), trusted)
        assert result.exit_code == 2, f"seed {seed}: {name} was not found"
        assert result.code in CODES
        codes[result.code] += 1
    return codes


def test_mutations_of_every_kind_are_caught(stage: Stage, trusted: list[Certificate]) -> None:
    codes = check(range(8 * len(KINDS)), stage, trusted)
    assert len(codes) >= 8, codes


@pytest.mark.load
@pytest.mark.timeout(900)
def test_a_thousand_mutations_are_caught(stage: Stage, trusted: list[Certificate]) -> None:
    codes = check(range(1000, 2000), stage, trusted)
    assert sum(codes.values()) == 1000
    print(dict(codes))  # noqa: T201


def shape(number: int) -> Shape:
    return Shape(
        tracks=1 + number % 4,
        segments=1 + number % 5,
        bytes=(0, 1, 700, 5_000)[number % 4],
        gaps=(0, 0, 1, 7)[number // 4 % 4],
        pause=number % 3 == 0,
        attempts=number % 4,
        documents=number % 2 == 1,
        uploads=(0, 3, 5)[number // 2 % 3],
    )


def check_untouched(numbers: range, root: Path, office: Office) -> None:
    from witness_verify.asn1 import load_pem

    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    for number in numbers:
        kind = shape(number)
        place = record(root, f"s{number}", kind, seed=number)
        sealed = office.seal(place, root / f"s{number}.zip", stamped=number % 5 != 0)
        with sealed.path.open("rb") as file:
            result = verify(file, trusted)
        gaps = kind.pause or kind.gaps or kind.uploads > 3
        assert result.exit_code == (1 if gaps else 0), (number, result.steps)


def test_untouched_packages_of_varied_shapes_pass(tmp_path: Path) -> None:
    check_untouched(range(12), tmp_path, Office.made(tmp_path / "office"))


@pytest.mark.load
@pytest.mark.timeout(600)
def test_a_hundred_untouched_packages_pass(tmp_path: Path) -> None:
    check_untouched(range(100), tmp_path, Office.made(tmp_path / "office"))
