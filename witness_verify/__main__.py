"""``python -m witness_verify PACKAGE``: the checks, told in Chinese or English."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from witness_verify import values
from witness_verify.asn1 import Certificate, load_pem
from witness_verify.failure import CODES, Failure
from witness_verify.steps import Result, Step, verify

__all__ = ["certificates", "main", "run"]

_STEPS = {
    "structure": ("结构：文件齐全，且与清单一致", "Structure: the files are those of the manifest"),
    "signatures": ("签名与证书", "Signatures and certificates"),
    "timestamp": ("第三方时间戳", "A third party's time-stamp"),
    "events": ("事件日志的链条", "The chain of events"),
    "media": ("媒体文件的摘要与 Merkle 根", "Digests of the media, Merkle roots"),
    "client": ("终端在通话中给出的摘要", "What the participants' devices said they sent"),
    "timeline": ("时间线：媒体与已声明的缺口合起来完整", "Media and declared gaps cover the time"),
    "attempts": ("补录：被取代的记录都在", "Attempts: superseded ones are there"),
    "documents": ("流程、规则、授权与检查结果", "Flow, policy, consents, checks"),
    "tracks": ("音视频轨道来自何人", "Who sent the tracks"),
    "log": ("透明日志：已登记且只增不改", "Transparency log: entered, and it only grew"),
    "head": ("与他处保存的日志头比较", "Compared with a log head kept elsewhere"),
}
_OUTCOMES = {
    "pass": ("通过", "pass"),
    "fail": ("失败", "FAIL"),
    "unknown": ("无法判断", "UNKNOWN"),
    "absent": ("包内没有", "not there"),
    "encrypted": ("有密文，未全部比对", "not all compared: encrypted"),
    "unsaid": ("有终端未声明的媒体流，未全部比对", "not all compared: of some, no device spoke"),
    "gaps": ("通过，有已声明的缺口", "pass, with declared gaps"),
}
_VERDICTS = (
    ("通过", "PASS"),
    ("通过，但有已声明的缺口", "PASS WITH DECLARED GAPS"),
    ("未通过", "FAIL"),
)
_HELP = {
    "package": ("证据包", "evidence package"),
    "trust": ("可信证书（PEM），可多次给出", "certificates you trust (PEM); may be given again"),
    "head": ("另行保存的日志头", "head of the transparency log that was kept elsewhere"),
    "device_key": (
        "必须签过摘要的终端密钥的 SHA-256（十六进制），可多次给出",
        "SHA-256 of a device's key that has to have signed (hexadecimal); may be given again",
    ),
    "json": ("输出 JSON", "print JSON"),
    "lang": ("语言", "language"),
    "about": (
        "离线校验证据包。退出码：0 通过，1 通过但有已声明的缺口，2 未通过。",
        "Checks an evidence package offline. 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL.",
    ),
}


def main(arguments: Sequence[str] | None = None, prog: str = "witness-verify") -> int:
    """The command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    lang = _language(given)
    parser = argparse.ArgumentParser(prog=prog, description=_HELP["about"][lang])
    parser.add_argument("package", type=Path, help=_HELP["package"][lang])
    parser.add_argument(
        "--trust", type=Path, nargs="+", action="extend", default=[], help=_HELP["trust"][lang]
    )
    parser.add_argument("--head", type=Path, help=_HELP["head"][lang])
    parser.add_argument("--device-key", action="append", default=[], help=_HELP["device_key"][lang])
    parser.add_argument("--json", action="store_true", help=_HELP["json"][lang])
    parser.add_argument("--lang", choices=("zh", "en"), help=_HELP["lang"][lang])
    options = parser.parse_args(given)
    kept = options.trust, options.head, options.device_key
    return run(options.package, *kept, as_json=options.json, lang=lang)


def run(
    package: Path,
    trust: Sequence[Path],
    head: Path | None,
    device_keys: Sequence[str] = (),
    *,
    as_json: bool,
    lang: int,
) -> int:
    """Checks a package and tells about it; returns the exit code.

    Args:
        package: the file.
        trust: PEM files with certificates.
        head: of the transparency log.
        device_keys: SHA-256 of keys of devices, hexadecimal.
        as_json: instead of sentences.
        lang: 0 Chinese, 1 English.
    """

    def tell(step: Step) -> None:
        if not as_json:
            sys.stdout.write(_told(step, lang) + "\n")
            sys.stdout.flush()

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        step = "signatures"
        try:
            trusted = [one for path in trust for one in certificates(path)]
            step = "head"
            kept = None if head is None else _head(head)
            step = "structure"
            file = _opened(package)
        except OSError as error:
            code = {"signatures": "trust_file", "head": "head_file"}.get(step, "unreadable")
            result = _refused(step, Failure(code, f"{error.filename}: {error.strerror}"), tell)
        except Failure as failure:
            result = _refused(step, failure, tell)
        else:
            with file:
                result = verify(file, trusted, kept, tell, [key.lower() for key in device_keys])
        sys.stdout.write(_as_json(result) if as_json else _verdict(result, lang))
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001
        # An output that takes nothing, for one. Python's own exit code is that of another verdict.
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 2
    return result.exit_code


def _opened(package: Path) -> BinaryIO:
    # A pipe would be waited for, without end if nobody writes.
    if not S_ISREG(package.stat().st_mode):
        raise Failure("unreadable", f"{package}: is no regular file")
    return package.open("rb")


def _refused(step: str, failure: Failure, tell: Callable[[Step], None]) -> Result:
    result = Result([Step(step, "fail", failure.code, failure.detail)])
    tell(result.steps[0])
    return result


def _language(arguments: Sequence[str]) -> int:
    """0 Chinese, 1 English: as asked for, else as the environment says."""
    for name, value in zip(arguments, arguments[1:]):
        if name == "--lang":
            return int(value != "zh")
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    first = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return int(not first.lower().startswith("zh"))


def certificates(path: Path) -> list[Certificate]:
    """Those of a PEM file; fails with its name if there are none."""
    try:
        return load_pem(path.read_bytes())
    except Failure as failure:
        raise Failure(failure.code, f"{path}: {failure.detail}") from None


def _head(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        return values.parse(file.read(1 << 20).rstrip(b"\n"), str(path))


def _told(step: Step, lang: int) -> str:
    number = list(_STEPS).index(step.name) + 1
    line = f"[{number:2}/{len(_STEPS)}] {_STEPS[step.name][lang]} … {_OUTCOMES[step.outcome][lang]}"
    if step.code:
        line += f" ({step.code}): {CODES[step.code][lang]}"
    return f"{line} [{step.detail}]" if step.detail else line


def _verdict(result: Result, lang: int) -> str:
    code = f"({result.code})" if result.code else ""
    return f"{('结论：', 'Verdict: ')[lang]}{_VERDICTS[result.exit_code][lang]}{code}\n"


def _as_json(result: Result) -> str:
    steps = [
        {"step": s.name, "outcome": s.outcome, "code": s.code or None, "detail": s.detail}
        for s in result.steps
    ]
    told = {
        "verdict": _VERDICTS[result.exit_code][1],
        "code": result.code or None,
        "exit": result.exit_code,
        "package": result.package or None,
        "session": result.session or None,
        "steps": steps,
    }
    return json.dumps(told, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
