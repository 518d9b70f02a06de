from pathlib import Path

import pytest

from tests.recorder.evidence import Office, Shape, record
from tests.witness_verify.tampering import Stage
from witness_verify.asn1 import Certificate, load_pem

SHAPES = [
    Shape(segments=2, bytes=1_500),
    Shape(gaps=2, bytes=1_000, uploads=4),
    Shape(tracks=3, pause=True, documents=True, bytes=800),
    Shape(tracks=1, segments=4, attempts=3, gaps=1, bytes=500),
]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Four packages of one office and four of another, with the same sessions."""
    roots = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    packages: list[list[Path]] = []
    for root in roots:
        office = Office.made(root)
        packages.append(
            [
                office.seal(record(root, f"s{n}", shape, seed=n), root / f"s{n}.zip").path
                for n, shape in enumerate(SHAPES)
            ]
        )
    return Stage(Office.opened(roots[0]), *packages)


@pytest.fixture(scope="session")
def trusted(stage: Stage) -> list[Certificate]:
    return [one for path in stage.office.trust for one in load_pem(path.read_bytes())]
