"""The verifier's own curves and digests against ``cryptography`` and OpenSSL."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.digests import sm3 as openssl_sm3
from recorder.keys import KeyRing
from recorder.merkle import (
    MerkleRoot,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
)
from tests.witness_verify.tampering import Stage
from witness_verify.asn1 import SM2_SM3, load_pem, signed_ok
from witness_verify.crypto import P256, P384, PlainSm3, ecdsa_ok, ed25519_ok, rsa_ok, sm3
from witness_verify.merkle import Roots, consistent, included


@given(st.binary(max_size=300), st.integers(0, 300))
def test_plain_sm3_is_that_of_openssl(data: bytes, cut: int) -> None:
    plain = PlainSm3()
    plain.update(data[:cut])
    plain.update(data[cut:])
    assert plain.hexdigest() == openssl_sm3(data).hex() == sm3(data).hex()


def test_sm3_of_the_standard() -> None:
    # GB/T 32905-2016, appendix A.
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abc").hex() == expected


@settings(max_examples=15)
@given(st.binary(max_size=200), st.integers(0, 511))
def test_ed25519_agrees_with_the_library(data: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(data).digest())
    public, signature = key.public_key().public_bytes_raw(), key.sign(data)
    assert ed25519_ok(public, signature, data)
    assert not ed25519_ok(public, signature, data + b"x")
    wrong = bytearray(signature)
    wrong[bit // 8] ^= 1 << bit % 8
    assert not ed25519_ok(public, bytes(wrong), data)


def test_ed25519_refuses_a_scalar_beyond_the_order() -> None:
    # RFC 8032, section 5.1.7: otherwise every signature had a second form.
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signature = key.sign(b"data")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    second = signature[:32] + scalar.to_bytes(32, "little")
    assert not ed25519_ok(key.public_key().public_bytes_raw(), second, b"data")


@pytest.mark.parametrize(
    ("curve", "library", "digest"),
    [
        (P256, ec.SECP256R1(), hashes.SHA256()),
        (P256, ec.SECP256R1(), hashes.SHA512()),
        (P384, ec.SECP384R1(), hashes.SHA384()),
    ],
)
def test_ecdsa_agrees_with_the_library(curve: object, library: object, digest: object) -> None:
    key = ec.generate_private_key(library)  # type: ignore[arg-type]
    data = b"what is signed"
    rs = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))  # type: ignore[arg-type]
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    hashed = hashlib.new(digest.name, data).digest()  # type: ignore[attr-defined]
    assert ecdsa_ok(curve, public, rs, hashed)  # type: ignore[arg-type]
    for wrong in ((rs[0] + 1, rs[1]), (0, rs[1]), (rs[0], 0), (rs[0], curve.n), (rs[1], rs[0])):  # type: ignore[attr-defined]
        assert not ecdsa_ok(curve, public, wrong, hashed)  # type: ignore[arg-type]
    assert not ecdsa_ok(curve, public, rs, hashed[::-1])  # type: ignore[arg-type]
    assert not ecdsa_ok(curve, public[:-1] + b"\x00", rs, hashed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_rsa_agrees_with_the_library(name: str) -> None:
    key = rsa.generate_private_key(65_537, 2_048)
    data, numbers = b"what is signed", key.public_key().public_numbers()
    digest = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[name]
    signature = key.sign(data, padding.PKCS1v15(), digest)
    assert rsa_ok(numbers.n, numbers.e, signature, name, data)
    assert not rsa_ok(numbers.n, numbers.e, signature, name, data + b"x")
    assert not rsa_ok(numbers.n, numbers.e, signature[::-1], name, data)
    assert not rsa_ok(-numbers.n, numbers.e, signature, name, data)
    assert not rsa_ok(numbers.n, 1, signature, name, data)


def test_sm2_agrees_with_openssl(stage: Stage, tmp_path: Path) -> None:
    keys = KeyRing.load(stage.office.root / "keys").signers[1]
    certificate = load_pem((stage.office.root / "keys/seal-sm2.crt").read_bytes())[0]
    data = tmp_path / "data"
    data.write_bytes(b"what is signed")
    for _ in range(3):
        signature = keys.sign(data)
        assert signed_ok(certificate.key, SM2_SM3, signature, b"what is signed")
        assert not signed_ok(certificate.key, SM2_SM3, signature, b"what is signee")
        assert not signed_ok(certificate.key, "1.2.840.10045.4.3.2", signature, b"what is signed")
    own = certificate.tbs.raw
    assert signed_ok(certificate.key, certificate.algorithm, certificate.signature, own)


@given(st.integers(1, 40), st.data())
def test_merkle_proofs_of_the_sealer_are_accepted_and_no_others(
    size: int, data: st.DataObject
) -> None:
    leaves = [str(number).encode() for number in range(size)]
    hashed = [leaf_hash(leaf) for leaf in leaves]
    root = tree_root(hashed)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(hashed, index)
    assert included(leaves[index], index, size, path, root)
    assert not included(b"other", index, size, path, root)
    assert not included(leaves[index], index, size, [*path, root], root)
    if size > 1:
        assert not included(leaves[index], (index + 1) % size, size, path, root)
        assert not included(leaves[index], index, size, path[:-1], root)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(hashed, old)
    before = tree_root(hashed[:old])
    assert consistent((old, before), (size, root), proof)
    assert not consistent((old, hashlib.sha256(before).digest()), (size, root), proof)
    if old < size:
        assert not consistent((old, before), (size, root), proof[:-1])
        assert not consistent((old, before), (size, before), proof)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_both_sides_have_the_same_roots(leaves: list[bytes]) -> None:
    ours, theirs = MerkleRoot(), Roots()
    for leaf in leaves:
        ours.add(leaf)
        theirs.add(leaf)
    assert ours.roots() == dict(zip(("sha256", "sm3"), theirs.hex(), strict=True))


def test_stamps_of_an_authority_with_rsa_and_a_chain(stage: Stage, tmp_path: Path) -> None:
    """As authorities have them: a root, and a certificate for stamping that it issued."""
    from datetime import UTC, datetime

    from witness_verify.failure import Failure
    from witness_verify.stamp import check_stamp

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=tmp_path)

    new = ["req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
    openssl(*new, "-x509", "-keyout", "root.key", "-out", "root.crt", "-subj", "/CN=root")
    openssl(*new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=stamps")
    (tmp_path / "ext").write_text("extendedKeyUsage=critical,timeStamping\n")
    issue = ["x509", "-req", "-in", "tsa.csr", "-CA", "root.crt", "-CAkey", "root.key"]
    openssl(*issue, "-CAcreateserial", "-extfile", "ext", "-out", "tsa.crt", "-days", "9")
    (tmp_path / "tsa.serial").write_text("01\n")
    from recorder.timestamp import LocalAuthority

    stamp = LocalAuthority(tmp_path).stamp(b"data")
    root = load_pem((tmp_path / "root.crt").read_bytes())
    stated, known = check_stamp(stamp, b"data", root)
    assert known
    assert abs((datetime.now(UTC) - stated).total_seconds()) < 60
    others = load_pem(stage.office.trust[0].read_bytes())
    assert not check_stamp(stamp, b"data", others)[1]
    with pytest.raises(Failure, match="something else"):
        check_stamp(stamp, b"date", root)
    for at in range(0, len(stamp), 7):
        changed = bytearray(stamp)
        changed[at] ^= 0x10
        try:
            _, known = check_stamp(bytes(changed), b"data", root)
        except Failure:
            continue
        # What is left is not signed: the log's leaf binds it.
        assert bytes(changed) != stamp
