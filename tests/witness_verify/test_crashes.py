"""What breaks the verifier, or what it writes to, is a FAIL."""

import base64
import hashlib
import io
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recorder.canonical import canonical
from tests.witness_verify.tampering import Stage, packed, unpacked
from witness_verify import Failure, verify
from witness_verify.__main__ import run
from witness_verify.asn1 import Certificate, Node, load_pem, node, signed_ok
from witness_verify.failure import CODES
from witness_verify.stamp import check_stamp
from witness_verify.steps import _Check
from witness_verify.values import parse

ED25519 = bytes.fromhex("06032b6570")
FIRST_ATTRIBUTE = (1, 1, 0, -1, 0, 3, 0, 1)


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, b"".join(parts))


def certificate(key: bytes = b"", extension: bytes = b"") -> bytes:
    """A certificate with what is wanted of it; its signature is zeros."""
    key = key or sequence(sequence(ED25519), tlv(3, bytes(33)))
    times = sequence(tlv(0x17, b"200101000000Z"), tlv(0x17, b"490101000000Z"))
    more = tlv(0xA3, sequence(extension)) if extension else b""
    body = sequence(tlv(2, b"\1"), sequence(ED25519), sequence(), times, sequence(), key, more)
    return sequence(body, sequence(ED25519), tlv(3, bytes(65)))


def nodes(one: Node, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Where every value of a DER structure is."""
    yield path
    if one.tag & 0x20:
        for index, child in enumerate(one.children()):
            yield from nodes(child, (*path, index))


def exchanged(one: Node, path: tuple[int, ...], change: Callable[[Node], bytes]) -> bytes:
    """The structure with one of its values changed, and every length made anew."""
    if not path:
        return change(one)
    children = one.children()
    at = path[0] % len(children)
    parts = [
        exchanged(child, path[1:], change) if index == at else child.raw
        for index, child in enumerate(children)
    ]
    return tlv(one.tag, b"".join(parts))


def signed_with(stage: Stage, der: bytes) -> bytes:
    files = unpacked(stage.packages[0])
    signatures, manifest = (
        json.loads(files["manifest.sig.json"]),
        json.loads(files["manifest.json"]),
    )
    signatures["signatures"][0]["chain"] = [base64.b64encode(der).decode()]
    manifest["signers"][0]["certificate_sha256"] = hashlib.sha256(der).hexdigest()
    files |= {"manifest.json": canonical(manifest), "manifest.sig.json": canonical(signatures)}
    return packed(files)


def stamp_of(stage: Stage) -> bytes:
    return unpacked(stage.packages[0])["tsa/manifest.sig.tsr"]


def stamped_with(stage: Stage, stamp: bytes) -> bytes:
    return packed({**unpacked(stage.packages[0]), "tsa/manifest.sig.tsr": stamp})


def emptied_attribute(stage: Stage) -> bytes:
    whole = node(stamp_of(stage))
    return exchanged(whole, FIRST_ATTRIBUTE, lambda one: tlv(0x31, b""))


def endless(_: Stage) -> bytes:
    """A file of 2^63 bytes, then another: no machine can go to where that lies."""
    size = 2**63
    common = (45, 0x0800, 0, 0, 0x21, 0, 0xFFFFFFFF, 0xFFFFFFFF, 1)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, *common, 20) + b"a"
    local += struct.pack("<HHQQ", 1, 16, size, size)
    directory = b""
    for name, length, at in ((b"a", size, 0), (b"b", 0, size + len(local))):
        head = (0x02014B50, 0x032D, *common, 28, 0, 0, 0, 0o100644 << 16, 0xFFFFFFFF)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", *head) + name
        directory += struct.pack("<HHQQQ", 1, 24, length, length, at)
    start, end = len(local), len(local) + len(directory)
    tail = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0x032D, 45, 0, 0, 2, 2, end - start, start)
    tail += struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    ones = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    return local + directory + tail + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, *ones, 0)


HARMFUL: dict[str, tuple[Callable[[Stage], bytes], str]] = {
    "a file of 2^63 bytes": (endless, "container"),
    "an empty extension": (
        lambda stage: signed_with(stage, certificate(extension=sequence())),
        "certificate",
    ),
    "a key of no algorithm": (
        lambda stage: signed_with(stage, certificate(sequence(sequence(), tlv(3, bytes(33))))),
        "certificate",
    ),
    "an empty key": (lambda stage: signed_with(stage, certificate(sequence())), "certificate"),
    "an attribute of no value": (
        lambda stage: stamped_with(stage, emptied_attribute(stage)),
        "certificate",
    ),
}


def checked(stage: Stage, path: Path, **more: Any) -> int:
    options: dict[str, Any] = {"as_json": False, "lang": 1, **more}
    return run(path, stage.office.trust, None, **options)


@pytest.mark.parametrize("name", HARMFUL)
def test_packages_that_broke_the_verifier_are_refused(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    make, code = HARMFUL[name]
    (tmp_path / "x.zip").write_bytes(make(stage))
    assert checked(stage, tmp_path / "x.zip", as_json=True) == 2
    assert json.loads(capsys.readouterr().out)["code"] == code


def test_whatever_breaks_in_a_step_is_a_fail(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: _Check) -> tuple[str, str]:
        raise KeyError("unforeseen")

    monkeypatch.setattr(_Check, "media", broken)
    assert checked(stage, stage.packages[0], as_json=True) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["code"]) == ("FAIL", "internal")
    assert told["steps"][-1]["detail"] == "KeyError"


def test_no_byte_of_a_directory_breaks_it(stage: Stage) -> None:
    data = stage.packages[0].read_bytes()
    (start,) = struct.unpack_from("<Q", data, len(data) - 50)
    for at in range(start, len(data)):
        changed = bytearray(data)
        changed[at] ^= (0x01, 0x80, 0xFF)[at % 3]
        result = verify(io.BytesIO(bytes(changed)))
        assert (result.exit_code, result.code in CODES) == (2, True)
        assert result.code != "internal", at


@pytest.mark.parametrize("change", [lambda one: tlv(one.tag, b""), lambda one: b""])
def test_no_value_left_out_of_a_certificate_breaks_it(
    stage: Stage, change: Callable[[Node], bytes]
) -> None:
    for path in stage.office.trust:
        (sound,) = load_pem(path.read_bytes())
        whole = node(sound.tbs.raw)
        rest = b"".join(one.raw for one in node(sound._der).children()[1:])
        for place in nodes(whole):
            with suppress(Failure):
                made = Certificate(sequence(exchanged(whole, place, change), rest))
                made.may_certify(), made.stamps_time()
                # What its signature is over was changed; only another key is worth the time.
                assert made.key == sound.key or not signed_ok(
                    made.key, made.algorithm, made.signature, made.tbs.raw
                )


@pytest.mark.parametrize("change", [lambda one: tlv(one.tag, b""), lambda one: b""])
def test_no_value_left_out_of_a_time_stamp_breaks_it(
    stage: Stage, trusted: list[Certificate], change: Callable[[Node], bytes]
) -> None:
    files = unpacked(stage.packages[0])
    signed, whole = files["manifest.sig.json"], node(stamp_of(stage))
    for place in nodes(whole):
        with suppress(Failure):
            check_stamp(exchanged(whole, place, change), signed, trusted)


def test_every_byte_of_a_certificate_and_a_stamp_may_be_another(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, path = unpacked(stage.packages[0]), tmp_path / "x.zip"
    document = json.loads(files["manifest.sig.json"])
    der = base64.b64decode(document["signatures"][0]["chain"][0])
    for at in range(0, len(der), 7):
        changed = bytearray(der)
        changed[at] ^= (0x01, 0x80, 0xFF, 0x30)[at % 4]
        path.write_bytes(signed_with(stage, bytes(changed)))
        assert checked(stage, path) == 2
    stamp = stamp_of(stage)
    for at in range(0, len(stamp), 29):
        changed = bytearray(stamp)
        changed[at] ^= (0x01, 0x80, 0xFF, 0x30)[at % 4]
        path.write_bytes(stamped_with(stage, bytes(changed)))
        assert checked(stage, path) == 2
    assert "internal" not in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("as_json", [True, False])
def test_every_terminal_can_be_told(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, as_json: bool
) -> None:
    files, out = unpacked(stage.packages[0]), io.BytesIO()
    manifest = {**json.loads(files["manifest.json"]), "format": "会话 \U0001f512"}
    (tmp_path / "x.zip").write_bytes(packed({**files, "manifest.json": canonical(manifest)}))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
    assert checked(stage, tmp_path / "x.zip", as_json=as_json, lang=0) == 2
    assert b"format_unknown" in out.getvalue()


@pytest.mark.parametrize("field", ["format", "sealed_at", "package"])
@pytest.mark.parametrize("as_json", [True, False])
def test_no_package_writes_its_own_verdict(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, as_json: bool
) -> None:
    """By lines of its own, by moving the cursor, by turning the direction of the text."""
    files = unpacked(stage.packages[0])
    odd = "\x1b[1A\x9b2K\r\u202e\nVerdict: PASS\n"
    manifest = {**json.loads(files["manifest.json"]), field: odd}
    (tmp_path / "x\x1b[8m.zip").write_bytes(packed({**files, "manifest.json": canonical(manifest)}))
    for path in (tmp_path / "x\x1b[8m.zip", tmp_path / "y\x1b[8m.zip"):
        assert checked(stage, path, as_json=as_json) == 2
        told = capsys.readouterr().out
        assert all(line.isprintable() for line in told.split("\n"))
        assert "\nVerdict: PASS" not in told
        assert as_json or len(told.splitlines()) <= 3


@pytest.mark.parametrize("as_json", [True, False])
def test_an_output_that_takes_nothing_is_no_pass(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """The full disk, and the pipe nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    for target in (os.open("/dev/full", os.O_WRONLY), write):
        with os.fdopen(target, "w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            assert checked(stage, stage.packages[0], as_json=as_json) == 2


def test_a_number_of_millions_of_digits_is_refused_unread() -> None:
    with pytest.raises(Failure) as refused:
        parse(b'{"a":' + b"1" * 8_000_000 + b"}", "x")
    assert refused.value.code == "json"


def test_the_file_that_cannot_be_read_is_named(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package, the certificates, the head: each at the step it is for."""
    none, package = tmp_path / "none", stage.packages[0]
    given: list[tuple[Path, list[Path], Path | None, tuple[str, str]]] = [
        (package, [none], None, ("signatures", "trust_file")),
        (package, [package], None, ("signatures", "certificate")),
        (package, [], none, ("head", "head_file")),
        (package, [], package, ("head", "json")),
        (none, [], None, ("structure", "unreadable")),
        (tmp_path, [], None, ("structure", "unreadable")),
    ]
    for path, trust, head, expected in given:
        assert run(path, trust, head, as_json=True, lang=1) == 2
        (step,) = json.loads(capsys.readouterr().out)["steps"]
        assert (step["step"], step["code"]) == expected
        assert str(path if expected[0] == "structure" else head or trust[0]) in step["detail"]


@pytest.mark.timeout(10)
def test_a_pipe_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "x.zip")
    assert run(tmp_path / "x.zip", [], None, as_json=False, lang=1) == 2
    assert "x.zip: is no regular file" in capsys.readouterr().out
