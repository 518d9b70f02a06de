"""Packages made to do harm fail cleanly, with a code, in bounded memory."""

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from recorder.canonical import canonical
from tests.witness_verify.tampering import (
    Files,
    Stage,
    chained_anew,
    listed_anew,
    packed,
    signed_by,
    unpacked,
)
from witness_verify import Failure, verify
from witness_verify.asn1 import Certificate, load_pem, node
from witness_verify.values import parse


def ordinary(files: Files, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", compression) as box:
        for name, data in files.items():
            box.writestr(name, data)
    return out.getvalue()


def code(data: bytes) -> str:
    return verify(BytesIO(data)).code


def edited(files: Files, name: str, change: Callable[[bytes], bytes]) -> bytes:
    return packed({**files, name: change(files[name])})


def end_of(data: bytes) -> int:
    return len(data) - 98


CONTAINERS: dict[str, tuple[Callable[[bytes, Files], bytes], set[str]]] = {
    "empty": (lambda data, files: b"", {"container"}),
    "no zip": (lambda data, files: b"\x00" * 5_000, {"container"}),
    "zip of another tool": (lambda data, files: ordinary(files), {"container"}),
    "bomb": (
        lambda data, files: ordinary({"manifest.json": b"0" * 10**7}, zipfile.ZIP_DEFLATED),
        {"container"},
    ),
    "bytes before": (lambda data, files: b"\x00" + data, {"container"}),
    "bytes after": (lambda data, files: data + b"\x00", {"container"}),
    "two directories": (lambda data, files: data + data[end_of(data) :], {"container"}),
    "endless directory": (
        lambda data, files: data[:-66] + struct.pack("<QQ", 2**60, 2**60) + data[-50:],
        {"container", "too_large"},
    ),
    "no files": (lambda data, files: packed({}), {"files"}),
    "up": (lambda data, files: packed({"../evil": b"", **files}), {"path"}),
    "absolute": (lambda data, files: packed({"/etc/passwd": b"", **files}), {"path"}),
    "backslash": (lambda data, files: packed({"a\\b": b"", **files}), {"path"}),
    "drive": (lambda data, files: packed({"c:evil": b"", **files}), {"path"}),
    "hidden": (lambda data, files: packed({".hidden": b"", **files}), {"path"}),
    "not ASCII": (lambda data, files: packed({"会话": b"", **files}), {"path"}),
    "case": (lambda data, files: packed({"Manifest.json": b"", **files}), {"path"}),
    "long name": (lambda data, files: packed({"a" * 300: b"", **files}), {"path", "too_large"}),
    "other order": (lambda data, files: packed(dict(reversed(files.items()))), {"files"}),
    "huge manifest": (
        lambda data, files: edited(files, "manifest.json", lambda old: old + b" " * (9 << 20)),
        {"too_large"},
    ),
    "many values": (
        lambda data, files: edited(files, "manifest.json", lambda old: b"[" * 500_000),
        {"too_large"},
    ),
    "deep": (
        lambda data, files: edited(files, "manifest.json", lambda old: b'{"a":' * 90_000),
        {"json"},
    ),
    "a key twice": (
        lambda data, files: edited(
            files, "manifest.json", lambda old: b'{"documents":1,' + old[1:]
        ),
        {"json"},
    ),
    "white space": (
        lambda data, files: edited(files, "manifest.json", lambda old: old + b"\n"),
        {"json"},
    ),
    "no object": (lambda data, files: edited(files, "manifest.json", lambda old: b"[]"), {"form"}),
    "of the future": (
        lambda data, files: edited(
            files, "manifest.json", lambda old: old.replace(b"evidence/1", b"evidence/2")
        ),
        {"format_unknown"},
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_made_to_do_harm_are_refused(name: str, stage: Stage) -> None:
    path = stage.packages[0]
    make, codes = CONTAINERS[name]
    data = make(path.read_bytes(), unpacked(path))
    tracemalloc.start()
    try:
        assert code(data) in codes
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_one_name_twice_is_refused(stage: Stage) -> None:
    data = packed({"aaa": b"1", "aab": b"2", **unpacked(stage.packages[0])})
    assert code(data.replace(b"aab", b"aaa")) == "path"


WRONG: list[object] = [None, True, -1, "x", [None], [[]], {"a": 1}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_wrong_types_anywhere_fail_with_a_code(
    wrong: object, stage: Stage, trusted: list[Certificate]
) -> None:
    """Every field of every document in turn; nothing but a code may come of it."""
    files = unpacked(stage.packages[1])
    for name in ("manifest.json", "manifest.sig.json", "proofs/log.json", "session.json"):
        document = parse(files[name], name)
        for key in document:
            if document[key] == wrong:
                continue
            changed = packed({**files, name: canonical({**document, key: wrong})})
            assert verify(BytesIO(changed), trusted).exit_code == 2, (name, key)


DER = {
    "empty": b"",
    "no length": b"\x30",
    "endless": b"\x30\x80\x00\x00",
    "too long": b"\x30\x05\x00",
    "long form for short": b"\x30\x81\x01\x00",
    "leading zero": b"\x30\x82\x00\x81" + bytes(0x81),
    "length of lengths": b"\x30\xff" + bytes(200),
    "rest": b"\x05\x00\x00",
}


@pytest.mark.parametrize("data", DER.values(), ids=DER.keys())
def test_der_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(Failure):
        node(data).children()


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", b"junk" * 100]
)
def test_files_without_certificates_are_refused(text: bytes) -> None:
    with pytest.raises(Failure):
        load_pem(text)


def test_head_files_of_other_forms_are_refused(stage: Stage, trusted: list[Certificate]) -> None:
    with stage.packages[1].open("rb") as file:
        heads: list[dict[str, Any]] = [{}, {"head": 1}, {"head": {}}, {"head": {"signatures": []}}]
        for head in heads:
            result = verify(file, trusted, head)
            assert (result.exit_code, result.code) == (2, "form")


def test_a_document_that_is_not_the_one_of_the_log_is_found(
    stage: Stage, trusted: list[Certificate]
) -> None:
    """By keys of the sealer itself: what it seals has to be what it logged."""
    files = unpacked(stage.packages[2])
    log = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    manifest = json.loads(files["manifest.json"])
    policy = next(one for one in manifest["files"] if one["path"] == "policy.json")
    files.pop("tsa/manifest.sig.tsr")
    for sha256, wrong in ((policy["sha256"], False), ("0" * 64, True)):
        payload = {"file": "policy.json", "sha256": sha256, "sm3": policy["sm3"]}
        given = {**log[0], "type": "flow.given", "payload": payload}
        changed = chained_anew(dict(files), [log[0], given, *log[1:]])
        told = json.loads(listed_anew(changed)["manifest.json"])
        changed["manifest.json"] = canonical({**told, "timestamp": False})
        result = verify(BytesIO(packed(signed_by(stage.office, changed))), trusted)
        last = result.steps[-1]
        expected = ("documents", "files") if wrong else ("log", "inclusion")
        assert (last.name, last.code) == expected, last
