"""What check finds, serve stumbles on; the same code looks."""

import datetime as dt
import errno
import json
import os
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from analytics.config import AnalyticsConfig
from analytics.speech.pack import DEFAULT_PACK
from recorder.config import RecordingConfig
from sfu.config import SfuConfig
from signaling.config import Algorithm, AuthConfig, KeyConfig, SignalingConfig
from witness.certificates import create_certificate
from witness.cli import main
from witness.config import MediaConfig, MetricsConfig, ServerConfig, Settings
from witness.errors import ConfigError
from witness.preflight import EXPIRY_WARNING, examine, load_material
from witness.problem import Severity

DAYS = 30


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    create_certificate(["lan.example"], DAYS, cert, key)
    return cert, key


def with_tls(cert: Path, key: Path) -> Settings:
    return Settings(server=ServerConfig(tls_cert=cert, tls_key=key))


def with_key(**key: object) -> Settings:
    entry = KeyConfig.model_validate({"kid": "a", "algorithm": Algorithm.HS256, **key})
    return Settings(signaling=SignalingConfig(auth=AuthConfig(keys=(entry,))))


def found(settings: Settings, days: float = 0) -> list[tuple[str, str]]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return [(".".join(f.path), f.text) for f in examine(settings, lambda: now)]


def test_good_settings_have_no_findings(pair: tuple[Path, Path]) -> None:
    assert found(Settings()) == []
    assert found(with_tls(*pair)) == []
    assert load_material(with_tls(*pair)).tls is not None


def test_missing_certificate_and_key_are_both_named(tmp_path: Path) -> None:
    assert found(with_tls(tmp_path / "c", tmp_path / "k")) == [
        ("server.tls_cert", f"{tmp_path / 'c'}: No such file or directory"),
        ("server.tls_key", f"{tmp_path / 'k'}: No such file or directory"),
    ]


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\n"])
def test_files_of_another_kind_are_named(pair: tuple[Path, Path], content: bytes) -> None:
    cert, key = pair
    settings = with_tls(*pair)
    whole = cert.read_bytes()
    cert.write_bytes(content)
    assert found(settings) == [
        ("server.tls_cert", f"{cert}: holds no certificate in PEM form"),
    ]
    cert.write_bytes(whole)
    key.write_bytes(content)
    assert found(settings) == [("server.tls_key", f"{key}: holds no private key in PEM form")]


def test_swapped_files_are_named(pair: tuple[Path, Path]) -> None:
    cert, key = pair
    assert [path for path, _ in found(with_tls(key, cert))] == ["server.tls_cert", "server.tls_key"]


def test_key_of_another_certificate_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    create_certificate(["lan.example"], DAYS, tmp_path / "unused.pem", other)
    assert found(with_tls(pair[0], other)) == [
        ("server.tls_key", f"{other} is not the key of the certificate {pair[0]}")
    ]


def test_encrypted_key_is_named_and_nobody_is_asked_for_a_password(
    pair: tuple[Path, Path],
) -> None:
    cert, key = pair
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    key.write_bytes(pem)
    assert found(with_tls(cert, key)) == [
        ("server.tls_key", f"{key}: the key is encrypted; store it without a password")
    ]


@pytest.mark.parametrize(
    ("days", "severity", "text"),
    [
        (DAYS - EXPIRY_WARNING.days - 1, None, ""),
        (DAYS - EXPIRY_WARNING.days + 1, Severity.WARNING, "renew it soon"),
        (DAYS + 1, Severity.ERROR, "browsers refuse it"),
    ],
)
def test_expiry_is_seen_coming(
    pair: tuple[Path, Path], days: int, severity: Severity | None, text: str
) -> None:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    findings = examine(with_tls(*pair), lambda: now)
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(text in finding.text and not finding.fatal for finding in findings)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "its first line is empty"),
        (b"\nsecond\n", "its first line is empty"),
        (b"\xff" * 40, "is not UTF-8"),
        (b"short\n" + b"x" * 40, "the secret must have at least 32 characters"),
    ],
)
def test_unusable_secret_is_named(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    settings = with_key(secret_file=path)
    assert found(settings) == [("signaling.auth.keys.0.secret_file", f"{path}: {expected}")]
    with pytest.raises(ConfigError, match=expected):
        load_material(settings)


def test_public_key_of_another_kind_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    path.write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    key = "signaling.auth.keys.0.public_key_file"
    for file, text in (
        (pair[0], "holds no public key in PEM form"),
        (path, "holds no key for ES256"),
    ):
        settings = with_key(algorithm=Algorithm.ES256, public_key_file=file)
        assert found(settings) == [(key, f"{file}: {text}")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file or directory"),
        (b"", "its first line is empty"),
        (b"short\n", "must have at least 16 characters"),
    ],
)
def test_unusable_tokens_are_named(content: bytes | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    settings = Settings(
        server=ServerConfig(admin_token_file=path), metrics=MetricsConfig(token_file=path)
    )
    assert found(settings) == [
        ("server.admin_token_file", f"{path}: {expected}"),
        ("metrics.token_file", f"{path}: {expected}"),
    ]


def test_a_directory_that_takes_no_recordings_is_named_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(directory: Path) -> list[tuple[str, str]]:
        return found(Settings(recording=RecordingConfig(directory=directory)))

    key, place, file = "recording.directory", tmp_path / "disk", tmp_path / "file"
    assert of(tmp_path) == []
    text = f"{place} does not exist: make it (mkdir), or mount its disk"
    assert of(place) == [(key, text)]
    assert not place.exists(), "beneath a disk that is not mounted nothing may be written"
    file.touch()
    assert of(file) == [(key, f"{file} is no directory")]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert of(tmp_path) == [(key, f"{tmp_path} can't be written to by this user")]


@pytest.mark.parametrize(
    ("advertised", "media", "expected"),
    [
        (["192.0.2.1:4000"], {"engines": 2}, "names a port, but every engine has its own"),
        (["2001:db8::1"], {"listen": ["0.0.0.0"]}, "none of a family listened on"),
        (["192.0.2.1"], {"listen": ["0.0.0.0", "::"]}, None),
    ],
)
def test_addresses_nobody_could_reach_are_named(
    advertised: list[str], media: dict[str, object], expected: str | None
) -> None:
    settings = Settings(
        media=MediaConfig.model_validate(media),
        sfu=SfuConfig(advertised_addresses=tuple(advertised)),
    )
    findings = found(settings)
    assert [path for path, _ in findings] == (["sfu.advertised_addresses"] if expected else [])
    assert all(str(expected) in text for _, text in findings)


def test_host_without_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert found(Settings(server=ServerConfig(host="nowhere.invalid"))) == [
        ("server.host", "no address found for nowhere.invalid: Name or service not known")
    ]


def test_address_of_another_machine_is_named() -> None:
    assert found(Settings(server=ServerConfig(host="192.0.2.1"))) == [
        ("server.host", "can't listen at 192.0.2.1: this machine has no such address")
    ]


CONFIG = """\
server:
  prot: 1
  tls_cert: c.pem
  tls_key: none.pem
signaling:
  auth:
    keys:
      - {kid: bad, algorithm: HS257}
      - {kid: a, algorithm: HS256, secret_file: none}
"""


def test_check_names_values_and_files_together_with_their_lines(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pair[0].parent
    path = folder / "w.yaml"
    path.write_text(CONFIG)
    assert main(["config", "check", str(path)]) == 2
    reason = os.strerror(errno.ENOENT)
    assert capsys.readouterr().err.splitlines() == [
        f"witness: {path}:2:3: server.prot: there is no such key; did you mean server.port?",
        f"witness: {path}:4:3: server.tls_key: {folder / 'none.pem'}: {reason}",
        (
            f"witness: {path}:8:20: signaling.auth.keys.0.algorithm: must be 'HS256', 'ES256' or"
            " 'EdDSA' (is 'HS257')"
        ),
        f"witness: {path}:9:36: signaling.auth.keys.1.secret_file: {folder / 'none'}: {reason}",
    ]


def test_serve_refuses_what_check_refuses_in_the_same_words(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = pair[0].parent / "w.yaml"
    path.write_text(CONFIG)
    assert main(["config", "check", str(path)]) == 2
    by_check = capsys.readouterr().err
    assert main(["serve", "--config", str(path)]) == 2
    assert capsys.readouterr().err == by_check


def test_check_answers_programs_in_json(
    pair: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = pair[0].parent / "w.yaml"
    path.write_text("server:\n  prot: 1\n")
    monkeypatch.setenv("WITNESS_SERVER__PORT", "x")
    monkeypatch.setenv("WITNESS_SERVER_PORT", "1")
    assert main(["config", "check", "--json", str(path)]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    first, second, third = sorted(
        report["problems"], key=lambda p: (p["file"] is None, p["severity"])
    )
    assert (first["file"], first["line"], first["column"], first["key"]) == (
        str(path), 2, 3, "server.prot",
    )  # fmt: skip
    assert (second["variable"], second["key"], second["severity"]) == (
        "WITNESS_SERVER__PORT", "server.port", "error",
    )  # fmt: skip
    assert (third["variable"], third["severity"]) == ("WITNESS_SERVER_PORT", "warning")


def test_warnings_are_written_and_do_not_fail_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WITNESS_SERVER_PORT", "1")
    assert main(["config", "check"]) == 0
    assert "warning: WITNESS_SERVER_PORT: has no effect" in capsys.readouterr().err


def with_packs(**paths: Path) -> Settings:
    detectors = {name: {"pack_path": str(path)} for name, path in paths.items()}
    return Settings(analytics=AnalyticsConfig(detectors=detectors))


def test_lists_of_words_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    whole = yaml.safe_load(DEFAULT_PACK.read_text("utf-8"))
    del whole["answers"]["beside"]
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    assert found(with_packs(clear_answer=path)) == []
    whole["answers"]["beside"] = []
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    settings = with_packs(clear_answer=path, transcript=path)
    assert found(settings) == [
        (
            "analytics.detectors.clear_answer.pack_path",
            f"{path}: these lists of `answers` are empty: beside; more passes as a yes",
        )
    ]
    assert load_material(settings).tls is None, "the server starts"
    missing = tmp_path / "none.yaml"
    assert found(with_packs(clear_answer=missing)) == [
        (
            "analytics.detectors.clear_answer.pack_path",
            f"can't read {missing}: No such file or directory",
        )
    ]


def test_own_model_that_can_not_be_read_is_named_before_a_call(tmp_path: Path) -> None:
    here, gone = tmp_path / "here.onnx", tmp_path / "gone.onnx"
    here.write_bytes(b"a model")
    own = {"nanodet": str(here), "face": str(gone)}
    ((where, text, *_),) = found(Settings.model_validate({"analytics": {"own_models": own}}))
    assert where == "analytics.own_models.face"
    assert f"{gone}, given for the model face, can't be read" in text
