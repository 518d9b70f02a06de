"""Keys of devices and the chains they sign."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from recorder.backfill.chunk import SaidChunk
from recorder.backfill.device_key import (
    MAX_KEYS,
    MAX_KEYS_EACH,
    DeviceKeys,
    SignedBatch,
    key_body,
    signed_body,
)
from recorder.backfill.errors import ContradictionError, DeviceKeyError
from recorder.backfill.ledger import digest_row
from recorder.backfill.service import BackfillService
from recorder.log import EventLog, read_events
from recorder.session_file import read_session, write_session


class Device:
    """What the SDK does in a browser."""

    def __init__(self, number: int = 7, session: str = "s1") -> None:
        self._private = derive_private_key(number, SECP256R1())
        point = self._private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        self.public = base64.b64encode(point).decode()
        self.key = self.prev = hashlib.sha256(point).hexdigest()
        self.session, self.count = session, 0

    def proof(self, participant: str, session: str | None = None) -> str:
        """That it has the key."""
        return self.signature(key_body(session or self.session, participant, self.key))

    def announced(self, participant: str) -> tuple[str, str, str]:
        """Participant, public key, proof."""
        return participant, self.public, self.proof(participant)

    def sign(
        self, track: str, codec: str, chunks: list[tuple[int, SaidChunk]], *, late: bool = False
    ) -> SignedBatch:
        """The next batch of the chain."""
        self.count += 1
        rows = [digest_row(said) for _, said in chunks]
        signed = SignedBatch(self.key, self.count, self.prev, "", late)
        body = signed_body(self.session, track, codec, chunks[0][0], rows, signed)
        self.prev = hashlib.sha256(body).hexdigest()
        return replace(signed, signature=self.signature(body))

    def signature(self, body: bytes) -> str:
        r, s = decode_dss_signature(self._private.sign(body, ECDSA(hashes.SHA256())))
        return base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()


def said(seq: int, count: int = 2) -> list[tuple[int, SaidChunk]]:
    return [
        (one, SaidChunk(7, one * 48_000, one * 48_000 + 960, 2, 40, f"{one:064x}"))
        for one in range(seq, seq + count)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_session(tmp_path, session="s1", room="r", started_ns=1_790_000_000 * 10**9)
    return tmp_path / "s1"


def opened(place: Path, log: EventLog) -> BackfillService:
    service = BackfillService("x:y")
    service.open("s1", place, log, read_events(place, read_session(place)))
    return service


def test_a_chain_is_logged_as_it_was_signed_and_goes_on_after_a_restart(place: Path) -> None:
    device = Device()
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        service = opened(place, log)
        service.announce_key("s1", *device.announced("p1"))
        service.announce_key("s1", *device.announced("p1"))
        first, second = said(1), said(3)
        signed = device.sign("t1", "opus", first), device.sign("t2", "vp8", second)
        accept = lambda chunks, one, track="t1", codec="opus": service.accept(  # noqa: E731
            "s1", "p1", track, codec, chunks, late=False, signed=one
        )
        assert accept(second, signed[1], "t2", "vp8") == (0, 0), "not its turn"
        assert accept(first, signed[0]) == (1, 1)
        assert accept(first, signed[0]) == (1, 1), "the answer was lost, it is said again"
        service = opened(place, log)
        assert accept(first, signed[0]) == (1, 1), "the server was started again"
        assert accept(second, signed[1], "t2", "vp8") == (3, 2)
    logged = [event for event in read_events(place, read_session(place)) if event.seq > 1]
    assert [event.type for event in logged] == ["device.key", "digest.batch", "digest.batch"]
    assert logged[0].payload.keys() == {"alg", "key", "public", "proof"}
    assert (logged[0].payload["key"], logged[0].payload["public"]) == (device.key, device.public)
    assert logged[1].payload["signature"] == signed[0].signature
    assert (
        logged[2].payload["prev"]
        == hashlib.sha256(
            signed_body("s1", "t1", "opus", 1, [digest_row(one) for _, one in first], signed[0])
        ).hexdigest()
    )


def forged(**changes: Any) -> Callable[[SignedBatch], SignedBatch]:
    return lambda signed: replace(signed, **changes)


@pytest.mark.parametrize(
    ("change", "participant", "text"),
    [
        (forged(key="0" * 64), "p1", "was not announced"),
        (forged(), "p2", "was not announced"),
        (forged(prev="0" * 64), "p1", "does not follow"),
        (forged(signature="A" * 86 + "=="), "p1", "is wrong"),
        (forged(signature="A" * 84), "p1", "is wrong"),
        (forged(signature="%"), "p1", "is wrong"),
        (forged(signature=Device(8).signature(b"x")), "p1", "is wrong"),
        (forged(batch=1), "p1", "was another one"),
    ],
)
def test_what_is_not_signed_as_it_should_be_is_refused_and_changes_nothing(
    place: Path, change: Callable[[SignedBatch], SignedBatch], participant: str, text: str
) -> None:
    device = Device()
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        service = opened(place, log)
        service.announce_key("s1", *device.announced("p1"))
        service.accept("s1", "p1", "t1", "opus", said(1), late=False,
                       signed=device.sign("t1", "opus", said(1)))  # fmt: skip
        good = device.sign("t1", "opus", said(3))
        with pytest.raises(ContradictionError, match=text):
            service.accept(
                "s1", participant, "t1", "opus", said(3), late=False, signed=change(good)
            )
        with pytest.raises(ContradictionError, match="is wrong"):
            service.accept("s1", "p1", "t1", "opus", said(4), late=False, signed=good)
        assert service.accept("s1", "p1", "t1", "opus", said(3), late=False, signed=good) == (1, 2)
        again = device.sign("t1", "opus", said(4))
        with pytest.raises(ContradictionError, match="said before"):
            service.accept("s1", "p1", "t1", "opus", said(4), late=False, signed=again)


def other_curve() -> str:
    point = (
        derive_private_key(7, SECP384R1())
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    return base64.b64encode(point).decode()


@pytest.mark.parametrize(
    "public",
    ["", "%", "AA==", other_curve(), base64.b64encode(b"\4" + bytes(64)).decode(),
     base64.b64encode(base64.b64decode(Device().public)[:-1] + b"\0").decode()],
    ids=["empty", "no base64", "short", "other curve", "infinity", "not on the curve"],
)  # fmt: skip
def test_what_is_no_key_is_refused(public: str) -> None:
    with pytest.raises(DeviceKeyError):
        DeviceKeys("s1").announce("p", public, Device().proof("p"))


def test_keys_belong_to_one_participant_and_are_bounded() -> None:
    keys = DeviceKeys("s1")
    assert keys.announce(*Device(1).announced("p")) is not None
    assert keys.announce(*Device(1).announced("p")) is None
    with pytest.raises(DeviceKeyError, match="another participant"):
        keys.announce(*Device(1).announced("q"))
    for number in range(2, MAX_KEYS_EACH + 1):
        keys.announce(*Device(number).announced("p"))
    with pytest.raises(DeviceKeyError, match="a participant has at most"):
        keys.announce(*Device(MAX_KEYS_EACH + 1).announced("p"))
    for number in range(MAX_KEYS_EACH + 1, MAX_KEYS + 1):
        keys.announce(*Device(number).announced(f"p{number}"))
    with pytest.raises(DeviceKeyError, match="a session has at most"):
        keys.announce(*Device(MAX_KEYS + 1).announced("r"))


@pytest.mark.parametrize(
    "proof",
    [
        Device(1).proof("q"),
        Device(1).proof("p", session="s2"),
        Device(2).proof("p"),
        Device(1).signature(key_body("s1", "p", Device(2).key)),
        "A" * 86 + "==",
        "%",
        "",
    ],
    ids=["participant", "session", "device", "key", "zeros", "no base64", "empty"],
)
def test_nobody_announces_a_key_they_do_not_have(proof: str) -> None:
    keys = DeviceKeys("s1")
    with pytest.raises(DeviceKeyError, match="proof"):
        keys.announce("p", Device(1).public, proof)
    assert not keys.has("p")
    assert keys.announce(*Device(1).announced("p")) is not None


def test_whether_it_is_late_is_the_devices_word_where_it_is_signed(place: Path) -> None:
    device = Device()
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        service = opened(place, log)
        service.announce_key("s1", *device.announced("p1"))
        during = device.sign("t1", "opus", said(1))
        after = device.sign("t1", "opus", said(3), late=True)
        accept = lambda chunks, one: service.accept(  # noqa: E731
            "s1", "p1", "t1", "opus", chunks, late=True, signed=one
        )
        assert accept(said(1), during) == (1, 1)
        with pytest.raises(ContradictionError, match="is wrong"):
            accept(said(3), replace(after, late=False))
        assert accept(said(3), after) == (1, 2)
    batches = [one for one in read_events(place, read_session(place)) if "key" in one.payload]
    assert [one.payload.get("late") for one in batches] == [None, False, True]


def test_who_has_a_key_signs_what_is_said_during_the_call(place: Path) -> None:
    device, other = Device(), Device(8)
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        service = opened(place, log)
        service.announce_key("s1", *device.announced("p1"))
        service.accept("s1", "p2", "t2", "opus", said(1), late=False)
        for one in (service, opened(place, log)):
            with pytest.raises(ContradictionError, match="have to be signed"):
                one.accept("s1", "p1", "t1", "opus", said(1), late=False)
            with pytest.raises(DeviceKeyError, match="without a key before"):
                one.announce_key("s1", *other.announced("p2"))
        service.accept("s1", "p1", "t1", "opus", said(1), late=True)
        service.accept("s1", "p2", "t2", "opus", said(3), late=False)
