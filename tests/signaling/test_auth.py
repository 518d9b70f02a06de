"""Whose tokens are good."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from sfu import Role, Source
from signaling.auth import MintingKey, TokenVerifier, VerificationKey, load_keys, mint_token
from signaling.config import Algorithm, AuthConfig, KeyConfig
from signaling.errors import ErrorCode, KeyMaterialError, UnauthorizedError

NOW_S = 1_800_000_000.0
SECRET = b"s" * 32
ED_KEY = ed25519.Ed25519PrivateKey.generate()
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())

VERIFIER = TokenVerifier(
    [
        VerificationKey("hs", Algorithm.HS256, SECRET),
        VerificationKey("ed", Algorithm.EDDSA, ED_KEY.public_key()),
        VerificationKey("ec", Algorithm.ES256, EC_KEY.public_key()),
        VerificationKey("demo", Algorithm.HS256, b"d" * 32, local_only=True),
    ],
    max_ttl_s=43_200,
    clock_skew_s=30,
)


def claims(**changes: Any) -> dict[str, Any]:
    base = {
        "aud": "witness",
        "sub": "customer-1",
        "room": "sale-1",
        "role": "customer",
        "name": "王芳",
        "exp": NOW_S + 3600,
    }
    return {k: v for k, v in (base | changes).items() if v is not ...}


def sign(
    payload: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", kid: Any = "hs"
) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def raw(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)


def refused(token: str, *, now_s: float = NOW_S, local: bool = False) -> UnauthorizedError:
    with pytest.raises(UnauthorizedError) as caught:
        VERIFIER.verify(token, now_unix_s=now_s, local=local)
    return caught.value


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(SECRET, "HS256", "hs"), (ED_KEY, "EdDSA", "ed"), (EC_KEY, "ES256", "ec")],
)
def test_each_algorithm_with_its_key_is_accepted(key: Any, algorithm: str, kid: str) -> None:
    identity = VERIFIER.verify(sign(claims(), key, algorithm, kid), now_unix_s=NOW_S, local=False)
    assert (identity.room_id, identity.participant_id, identity.name) == (
        "sale-1",
        "customer-1",
        "王芳",
    )
    assert identity.grant.role is Role.CUSTOMER
    assert identity.grant.publish == frozenset(Source)


def _public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def _confused() -> str:
    """A token signed with the public key as if it were a secret."""
    import hashlib
    import hmac

    header = {"alg": "HS256", "kid": "ec", "typ": "JWT"}
    signing = raw(header, claims()).rpartition(".")[0]
    mac = hmac.new(_public_pem(EC_KEY), signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _changed() -> str:
    """A token whose payload was exchanged after signing."""
    head, _, signature = sign(claims()).split(".")
    return ".".join([head, sign(claims(role="rm")).split(".")[1], signature])


FORGED = [
    ("wrong secret", sign(claims(), b"x" * 32), "signature"),
    ("another private key", sign(claims(), OTHER_EC_KEY, "ES256", "ec"), "signature"),
    ("unknown kid", sign(claims(), kid="nobody"), "unknown_key"),
    ("no kid", sign(claims(), kid=None), "unknown_key"),
    ("kid of another type", raw({"alg": "HS256", "kid": 7}, claims()), "malformed"),
    ("algorithm of another key", sign(claims(), EC_KEY, "ES256", "hs"), "algorithm"),
    ("HS512 with the right secret", sign(claims(), b"s" * 64, "HS512"), "algorithm"),
    ("alg none", raw({"alg": "none", "kid": "hs"}, claims()), "algorithm"),
    ("alg None", raw({"alg": "None", "kid": "hs"}, claims()), "algorithm"),
    ("no alg", raw({"kid": "hs"}, claims()), "algorithm"),
    ("public key as secret", _confused(), "algorithm"),
    ("stripped signature", sign(claims()).rpartition(".")[0] + ".", "signature"),
    ("changed payload", _changed(), "signature"),
    ("wrong audience", sign(claims(aud="crm")), "audience"),
    ("no audience", sign(claims(aud=...)), "claim_missing"),
    ("no sub", sign(claims(sub=...)), "claim_missing"),
    ("no room", sign(claims(room=...)), "claim_missing"),
    ("no role", sign(claims(role=...)), "claim_missing"),
    ("no exp", sign(claims(exp=...)), "claim_missing"),
    ("expired", sign(claims(exp=NOW_S - 31)), "expired"),
    ("valid for years", sign(claims(exp=NOW_S + 1e8)), "ttl_too_long"),
    ("not yet valid", sign(claims(nbf=NOW_S + 31)), "not_yet_valid"),
    ("unknown role", sign(claims(role="admin")), "claim_invalid"),
    ("role of another type", sign(claims(role=["rm"])), "claim_invalid"),
    ("sub with a space", sign(claims(sub="a b")), "claim_invalid"),
    ("sub with a line end", sign(claims(sub="a\n")), "claim_invalid"),
    ("empty sub", sign(claims(sub="")), "claim_invalid"),
    ("long room", sign(claims(room="r" * 65)), "claim_invalid"),
    ("room that climbs", sign(claims(room="../etc")), "claim_invalid"),
    ("room that is no part of an address", sign(claims(room="..")), "claim_invalid"),
    ("room of a dot", sign(claims(room=".")), "claim_invalid"),
    ("long name", sign(claims(name="n" * 65)), "claim_invalid"),
    ("name with control characters", sign(claims(name="a\x1b[2J")), "claim_invalid"),
    ("name that reverses text", sign(claims(name="a\u202eb")), "claim_invalid"),
    ("name with half a character", sign(claims(name="\ud800")), "claim_invalid"),
    ("unknown source", sign(claims(publish=["kitchen"])), "claim_invalid"),
    ("publish is no list", sign(claims(publish="camera")), "claim_invalid"),
    ("publish holds lists", sign(claims(publish=[["camera"]])), "claim_invalid"),
    ("exp is text", raw({"alg": "HS256", "kid": "hs"}, claims(exp="soon")), "signature"),
    ("exp is huge", sign(claims(exp=10**30)), "claim_invalid"),
    ("garbage", "garbage", "malformed"),
    ("two parts", "a.b", "malformed"),
    ("empty", "", "malformed"),
    ("not ASCII", "é.é.é", "malformed"),
    ("deep header", base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30", "malformed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("token", "cause"),
    [(token, cause) for _, token, cause in FORGED],
    ids=[name for name, _, cause in FORGED],
)
def test_bad_token_is_refused_without_saying_why(token: str, cause: str) -> None:
    error = refused(token)
    assert error.cause == cause
    if cause == "expired":
        assert error.code is ErrorCode.TOKEN_EXPIRED
    else:
        assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, "the token is not accepted")


def test_clock_difference_is_tolerated_up_to_the_skew() -> None:
    for payload in (claims(exp=NOW_S - 29), claims(nbf=NOW_S + 29), claims(exp=NOW_S + 43_229)):
        VERIFIER.verify(sign(payload), now_unix_s=NOW_S, local=False)


def test_demo_key_is_good_on_this_machine_only() -> None:
    token = sign(claims(), b"d" * 32, kid="demo")
    assert VERIFIER.verify(token, now_unix_s=NOW_S, local=True).participant_id == "customer-1"
    assert refused(token, local=False).cause == "not_local"


def test_claims_narrow_rights_and_never_widen_them() -> None:
    narrowed = VERIFIER.verify(
        sign(claims(publish=["microphone"], subscribe=["rm", "supervisor"])),
        now_unix_s=NOW_S,
        local=False,
    ).grant
    assert narrowed.publish == {Source.MICROPHONE}
    assert narrowed.subscribe == {Role.RM}
    supervisor = VERIFIER.verify(
        sign(claims(role="supervisor", publish=["camera"])), now_unix_s=NOW_S, local=False
    ).grant
    assert supervisor.publish == frozenset()
    assert supervisor.hidden


def test_minted_token_is_accepted_and_says_what_was_asked() -> None:
    key = MintingKey("hs", SECRET)
    token = mint_token(
        key,
        room="sale-9",
        participant_id="rm-7",
        role=Role.RM,
        name="李明",
        now_unix_s=NOW_S,
        ttl_s=600,
        publish=[Source.MICROPHONE],
        subscribe=[Role.CUSTOMER],
    )
    identity = VERIFIER.verify(token, now_unix_s=NOW_S, local=False)
    assert identity.grant.expires_at == NOW_S + 600
    assert identity.grant.publish == {Source.MICROPHONE}
    assert identity.grant.subscribe == {Role.CUSTOMER}


@pytest.mark.parametrize("wrong", [{"room": "a b"}, {"participant_id": ""}, {"name": "\x00"}])
def test_minting_refuses_what_would_not_be_accepted(wrong: dict[str, str]) -> None:
    good: dict[str, Any] = {"room": "r", "participant_id": "p", "role": Role.RM, "now_unix_s": 0.0}
    with pytest.raises(ValueError, match=r"characters|A-Z"):
        mint_token(MintingKey("hs", SECRET), **(good | wrong))


def test_secrets_do_not_show_in_representations() -> None:
    key = MintingKey("hs", SECRET)
    assert "sss" not in repr(key) + repr(key.verification())


def test_keys_are_loaded_from_files(tmp_path: Path) -> None:
    (tmp_path / "ec.pem").write_bytes(_public_pem(EC_KEY))
    (tmp_path / "ed.pem").write_bytes(_public_pem(ED_KEY))
    (tmp_path / "secret").write_text("s" * 32 + "\n")
    keys = load_keys(
        AuthConfig(
            keys=(
                KeyConfig(kid="ec", algorithm=Algorithm.ES256, public_key_file=tmp_path / "ec.pem"),
                KeyConfig(kid="ed", algorithm=Algorithm.EDDSA, public_key_file=tmp_path / "ed.pem"),
                KeyConfig(kid="hs", algorithm=Algorithm.HS256, secret_file=tmp_path / "secret"),
            )
        )
    )
    verifier = TokenVerifier(keys, max_ttl_s=43_200, clock_skew_s=30)
    for key, algorithm, kid in (
        (EC_KEY, "ES256", "ec"),
        (ED_KEY, "EdDSA", "ed"),
        (SECRET, "HS256", "hs"),
    ):
        verifier.verify(sign(claims(), key, algorithm, kid), now_unix_s=NOW_S, local=False)


def test_key_file_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for content, text in (
        (_public_pem(rsa_key), "holds no key for ES256"),
        (_public_pem(ED_KEY), "holds no key for ES256"),
        (_public_pem(ec.generate_private_key(ec.SECP384R1())), "holds no key for ES256"),
        (b"nonsense", "holds no public key in PEM form"),
    ):
        path.write_bytes(content)
        config = KeyConfig(kid="a", algorithm=Algorithm.ES256, public_key_file=path)
        with pytest.raises(KeyMaterialError, match=text):
            load_keys(AuthConfig(keys=(config,)))
    missing = KeyConfig(kid="a", algorithm=Algorithm.HS256, secret_file=tmp_path / "none")
    with pytest.raises(KeyMaterialError, match="No such file"):
        load_keys(AuthConfig(keys=(missing,)))
    path.write_text("short")
    short = KeyConfig(kid="a", algorithm=Algorithm.HS256, secret_file=path)
    with pytest.raises(KeyMaterialError, match="at least 32"):
        load_keys(AuthConfig(keys=(short,)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kid": "demo", "algorithm": "HS256", "secret": "s" * 32},
        {"kid": "a", "algorithm": "HS256"},
        {"kid": "a", "algorithm": "HS256", "public_key_file": "x"},
        {"kid": "a", "algorithm": "ES256", "secret": "s" * 32},
        {"kid": "a", "algorithm": "none", "secret": "s" * 32},
        {"kid": "a", "algorithm": "HS256", "secret": "short"},
    ],
)
def test_key_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KeyConfig.model_validate(wrong)


def test_two_keys_of_one_id_are_refused() -> None:
    key = {"kid": "a", "algorithm": "HS256", "secret": "s" * 32}
    with pytest.raises(ValidationError, match="two keys have the kid a"):
        AuthConfig.model_validate({"keys": [key, key]})


@pytest.mark.parametrize(
    "control",
    [
        "\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066",
        "\u2067", "\u2068", "\u2069",
    ],
)  # fmt: skip
def test_name_may_not_turn_text_around(control: str) -> None:
    # All of Unicode's Bidi_Control.
    key = MintingKey.demo()
    with pytest.raises(ValueError, match="name"):
        mint_token(
            key,
            room="r",
            participant_id="p",
            role=Role.RM,
            now_unix_s=0,
            name=f"a{control}b",
        )
