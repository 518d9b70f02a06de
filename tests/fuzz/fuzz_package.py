"""Fuzzes the verifier: whatever it is given, it ends with a verdict.

``python -m tests.fuzz.fuzz_package --seconds 60``
"""

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from tests.fuzz.runner import instrumented, main
from tests.recorder.evidence import Office, Shape, record
from tests.witness_verify.tampering import packed, unpacked

with instrumented("witness_verify"):
    from witness_verify import Failure, verify
    from witness_verify.asn1 import Certificate, load_pem
    from witness_verify.stamp import check_stamp

_ROOT = Path(tempfile.mkdtemp(prefix="fuzz-package-"))
_OFFICE = Office.made(_ROOT)
_PACKAGE = _OFFICE.seal(
    record(_ROOT, "s1", Shape(tracks=1, segments=1, bytes=10, gaps=1, uploads=4)), _ROOT / "s1.zip"
).path
_FILES = unpacked(_PACKAGE)
_TRUSTED = [one for path in _OFFICE.trust for one in load_pem(path.read_bytes())]


def target(data: bytes) -> None:
    """As a package; as one of its files, in a container that is in order; as a certificate."""
    whole = data == _PACKAGE.read_bytes()
    assert (verify(BytesIO(data), _TRUSTED).exit_code < 2) == whole
    names = ["manifest.json", "manifest.sig.json", "events.jsonl", "proofs/log.json"]
    name = [*names, "tsa/manifest.sig.tsr"][len(data) % 5]
    if data != _FILES[name]:
        assert verify(BytesIO(packed({**_FILES, name: data})), _TRUSTED).exit_code == 2
    for reader in (Certificate, lambda der: check_stamp(der, b"", _TRUSTED)):
        try:
            reader(data)
        except Failure:
            continue


def seeds() -> list[bytes]:
    """A package and everything in it."""
    return [_PACKAGE.read_bytes(), *(data for data in _FILES.values() if data)]


if __name__ == "__main__":
    sys.exit(main("package", target, seeds()))
