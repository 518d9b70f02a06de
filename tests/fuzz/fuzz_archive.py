"""Fuzzes what the archive reads out of its storage: packages, records and times of keeping.

``python -m tests.fuzz.fuzz_archive --seconds 60``
"""

import io
import sys
import tempfile
from contextlib import suppress
from datetime import date
from pathlib import Path

from tests.archive.packages import package
from tests.fuzz.runner import instrumented, main

with instrumented("archive"):
    from archive.errors import IntegrityError, PackageError
    from archive.keep import Keep
    from archive.package import facts_of
    from archive.record import record_from

_DAY = date(2026, 11, 22)
with tempfile.TemporaryDirectory() as _name:
    _PACKAGE = package(Path(_name) / "p.zip", size=10).read_bytes()
_FACTS = facts_of(io.BytesIO(_PACKAGE))
_RECORD = (
    b'{"format":"witness-archive/1","package":"' + _FACTS.package.encode() + b'","archived_at":"x",'
    b'"verdict":"pass","contract_end":null,"dispute_end":"2026-01-01",'
    b'"objects":[{"key":"s/p/package.zip","kind":"package","bytes":5,"sha256":"0"}]}'
)


def target(data: bytes) -> None:
    """Whatever comes, it is understood or refused with an error of ours."""
    with suppress(PackageError):
        facts_of(io.BytesIO(data))
    with suppress(IntegrityError):
        record_from(data, _FACTS, Keep(_DAY))
    with suppress(IntegrityError):
        keep = Keep.from_bytes(data)
        assert Keep.from_bytes(keep.to_bytes()) == keep


SEEDS = [_PACKAGE, _RECORD, Keep(_DAY).to_bytes(), Keep(_DAY, _DAY, ("c-1",)).to_bytes()]

if __name__ == "__main__":
    sys.exit(main("archive", target, SEEDS))
