"""Sealing with the configured keys, and the check after it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from witness import version
from witness.errors import EvidenceError
from witness.i18n import t

__all__ = ["Verdict", "certificates_of", "check", "judged", "office_of", "seal_session"]

if TYPE_CHECKING:
    from recorder.config import EvidenceConfig
    from recorder.seal import Progress, Sealed, SealingOffice
    from witness_verify.steps import Result, Step


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier said.

    Attributes:
        exit_code: 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL.
        code: the first reason for FAIL; empty without one.
    """

    exit_code: int
    code: str


def office_of(config: "EvidenceConfig") -> "SealingOffice":
    """Keys, log and clock of the configuration.

    Raises:
        EvidenceError: a directory is not configured.
        RecorderError: keys or log can't be used.
    """
    from recorder.keys import KeyRing
    from recorder.seal import SealingOffice
    from recorder.timestamp import HttpAuthority, LocalAuthority, TimestampAuthority
    from recorder.transparency import TransparencyLog

    directory = given(config.keys_directory, "keys_directory")
    keys = KeyRing.load(directory)
    authority: TimestampAuthority | None = None
    if config.tsa_url is not None:
        authority = HttpAuthority(config.tsa_url, config.tsa_timeout_s)
    elif config.tsa_local:
        authority = LocalAuthority(directory)
    log = TransparencyLog(given(config.log_directory, "log_directory"), keys)
    trusted = certificates_of(config)
    return SealingOffice(
        keys,
        log,
        authority,
        f"witness/{version()}",
        lambda file: _first_refusal(_verified(file, trusted)),
    )


def given(directory: Path | None, key: str) -> Path:
    """A configured directory.

    Raises:
        EvidenceError: it is not configured.
    """
    if directory is None:
        text = t("evidence.{key} is not set: give it in the configuration or as {variable}")
        variable = f"WITNESS_EVIDENCE__{key.upper()}"
        raise EvidenceError(text.format(key=key, variable=variable))
    return directory


def certificates_of(config: "EvidenceConfig") -> list[Path]:
    """Certificates of those who seal and stamp with these settings."""
    directory = given(config.keys_directory, "keys_directory")
    names = ["seal-ed25519.crt", "seal-sm2.crt", *(["tsa.crt"] if config.tsa_local else [])]
    return [directory / name for name in names]


def seal_session(
    place: Path,
    out: Path,
    config: "EvidenceConfig",
    *,
    unsettled: bool = False,
    progress: "Progress | None" = None,
) -> "tuple[Sealed, Verdict]":
    """Makes the package of a session, then checks it as anybody would.

    Args:
        place: directory of the session.
        out: the package.
        config: keys, log and clock.
        unsettled: also while uploads are awaited.
        progress: told of media that was read.

    Raises:
        EvidenceError: a directory is not configured.
        RecorderError: the session can't be sealed.
        OSError: a file can't be read or written.
    """
    from recorder.seal import seal

    sealed = seal(
        place,
        out,
        office_of(config),
        now_ns=time.time_ns(),
        unsettled=unsettled,
        progress=progress,
    )
    return sealed, check(out, config)


def check(path: Path, config: "EvidenceConfig") -> Verdict:
    """The verifier's verdict. Who stands behind a remote stamp isn't known here."""
    with path.open("rb") as file:
        return judged(_verified(file, certificates_of(config)))


def _verified(file: BinaryIO, trusted: list[Path]) -> "Result":
    from witness_verify import verify
    from witness_verify.__main__ import certificates

    return verify(file, [one for name in trusted for one in certificates(name)])


def _refusals(result: "Result") -> "list[Step]":
    return [step for step in result.steps if step.code and step.code != "timestamp_unknown"]


def _first_refusal(result: "Result") -> tuple[str, str]:
    """The step that refuses a package, and code and place; empty where none does."""
    for step in _refusals(result):
        return step.name, f"{step.code} {step.detail}".rstrip()
    return "", ""


def judged(result: "Result") -> Verdict:
    """What a result says where nobody knows who stands behind a remote stamp.

    Everything else that fails or is unknown is a FAIL.
    """
    codes = [step.code for step in _refusals(result)]
    gaps = any(step.outcome == "gaps" for step in result.steps)
    return Verdict(2 if codes else int(gaps), codes[0] if codes else "")
