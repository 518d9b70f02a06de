"""Runs a fuzz target for some seconds: with atheris where it is installed, else by mutation.

``--engine`` chooses; ``--seconds`` and ``--seed`` bound and repeat a run. A crash is printed with
the input as a Python literal and ends the run with exit code 1.
"""

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

__all__ = ["instrumented", "main", "mutate"]

_TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"null", b"true",
    b"-1", b"1e999", b"9" * 40, b"\r\n", b"\n", b"\x00", b"\xff", b"\xf0\x9f\x98\x80", b" ",
    b"a=", b"m=", b"0", b"65535", b"65536", b"-", b"/", b"=",
]  # fmt: skip


def instrumented(*packages: str) -> AbstractContextManager[object]:
    """For the imports of what is fuzzed: lets atheris, where it is installed, see coverage."""
    if "mutation" in sys.argv:
        return nullcontext()
    try:
        import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return nullcontext()
    context: AbstractContextManager[object] = atheris.instrument_imports(include=list(packages))
    return context


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """An input made of one or two seeds by a few random edits."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(0, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0:
                del data[at : at + rng.randint(1, 8)]
            case 1:
                data[at:at] = rng.choice(_TOKENS)
            case 2 if at < len(data):
                data[at] = rng.randrange(256)
            case 3 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 4:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) + 1)
                data[at:at] = other[start : start + rng.randint(1, 64)]
            case 5:
                length = rng.randint(1, 32)
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case _:
                del data[at:]
    return bytes(data[:200_000])


def main(name: str, target: Callable[[bytes], None], seeds: Sequence[bytes]) -> int:
    """Command line of one fuzz script."""
    parser = argparse.ArgumentParser(description=f"Fuzzes {name}.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--engine", choices=("auto", "atheris", "mutation"), default="auto")
    options = parser.parse_args()
    if options.engine != "mutation":
        try:
            import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError:
            if options.engine == "atheris":
                raise
        else:
            return _run_atheris(atheris, name, target, seeds, options.seconds)
    return _run_mutation(name, target, seeds, options)


def _run_mutation(
    name: str, target: Callable[[bytes], None], seeds: Sequence[bytes], options: argparse.Namespace
) -> int:
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    end_s = time.monotonic() + options.seconds
    executions, longest_s = 0, 0.0
    while (start_s := time.monotonic()) < end_s:
        data = mutate(rng, seeds)
        try:
            target(data)
        except Exception:  # noqa: BLE001 - finding any is the purpose
            traceback.print_exc()
            print(f"{name}: crash after {executions} inputs, seed {seed}: {data!r}")  # noqa: T201
            return 1
        longest_s = max(longest_s, time.monotonic() - start_s)
        executions += 1
    print(  # noqa: T201
        f"{name}: {executions} inputs survived in {options.seconds:.0f} s, by mutation without"
        f" coverage, seed {seed}; the slowest took {longest_s * 1000:.1f} ms"
    )
    return 0


def _run_atheris(
    atheris: object,
    name: str,
    target: Callable[[bytes], None],
    seeds: Sequence[bytes],
    seconds: float,
) -> int:
    import tempfile
    from pathlib import Path
    from typing import Any

    fuzzer: Any = atheris
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for index, data in enumerate(seeds):
        (corpus / f"seed-{index}").write_bytes(data)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={int(seconds)}",
        "-print_final_stats=1",
        "-max_len=20000",
    ]
    print(f"{name}: coverage-guided by atheris")  # noqa: T201
    fuzzer.Setup(arguments, target)
    fuzzer.Fuzz()
    return 0
