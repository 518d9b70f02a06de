"""Master keys from files, variables and a server of keys."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from recorder.config import KeyServerConfig, RecordingConfig
from recorder.envelope import EnvelopeError, MasterKeys
from recorder.key_source import fetch_key, keys_given, load_keys
from recorder.keys import _make_ed25519
from witness.certificates import create_certificate

KEY, OLD = bytes(range(32)), bytes(32)
TEXT = base64.b64encode(KEY).decode()
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def test_without_a_key_nothing_is_encrypted() -> None:
    assert load_keys(RecordingConfig(), {}) is None


def test_files_and_variables(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    environ = {"OLD": base64.b64encode(OLD).decode(), "OTHER": "x"}
    for config in (
        RecordingConfig(key=f"file:{path}", old_keys=("env:OLD",)),
        RecordingConfig(key_file=path, old_keys=("env:OLD",)),
    ):
        given = dict(environ)
        keys = load_keys(config, given)
        assert keys is not None
        assert keys.current == KEY
        assert keys.find(MasterKeys.id_of(OLD)) == OLD
        assert keys.find(bytes(8)) is None
        # Processes started later don't inherit it.
        assert given == {"OTHER": "x"}
        assert TEXT not in repr(keys)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("env:NONE", "the variable NONE with a key is not set"),
        ("env:SHORT", "SHORT holds no key of 32 bytes"),
        ("env:SHORTER", "SHORTER holds no key of 32 bytes"),
        ("file:/nowhere/key", "can't read /nowhere/key: No such file"),
    ],
)
def test_what_is_no_key_is_named(source: str, said: str) -> None:
    with pytest.raises(EnvelopeError, match=said):
        fetch_key(source, KeyServerConfig(), {"SHORT": "abc", "SHORTER": "A" * 32})


@pytest.mark.parametrize(
    "given",
    [
        {"key": "http://example/key"},
        {"key": "https://"},
        {"key": "https://user:secret@host/key"},
        {"key": "/path"},
        {"key": "env:"},
        {"key": "env:A B"},
        {"key": "file:a", "key_file": "b"},
        {"old_keys": ["file:a"]},
        {"key": "file:a", "key_server": {"certificate": "c.pem"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RecordingConfig.model_validate(given)


def test_keys_of_a_command_line_come_before_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    environ = {"OLD": base64.b64encode(OLD).decode()}
    keys = keys_given(RecordingConfig(key="env:GONE"), [str(path), "env:OLD"], environ)
    assert keys is not None
    assert [keys.find(MasterKeys.id_of(key)) for key in (KEY, OLD)] == [KEY, OLD]
    assert environ == {}
    with pytest.raises(EnvelopeError, match="GONE"):
        keys_given(RecordingConfig(key="env:GONE"), [], environ)


class Server:
    """A server of keys with a certificate of its own."""

    def __init__(self, place: Path) -> None:
        self.ca = place / "c.pem"
        create_certificate(("localhost",), 30, self.ca, place / "k.pem")
        self.answer: Answer = lambda _: None
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, self.headers["Authorization"]))
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, place / "k.pem")
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def url(self, path: str = "/v1/keys/recording?secret=1") -> str:
        return f"https://localhost:{self.server.server_address[1]}{path}"

    def says(self, status: int, body: bytes, **headers: str) -> None:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answer = answer

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def test_a_raw_key_may_begin_like_json(server: Server) -> None:
    key = b" {" + KEY[2:]
    server.says(200, key)
    assert fetch_key(server.url(), KeyServerConfig(ca_file=server.ca), {}) == key


def test_an_answer_that_trickles_in_has_a_deadline(server: Server) -> None:
    given_up = threading.Event()

    def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        # Well within a socket's own limit, but never all of it.
        while not given_up.wait(0.05):
            handler.wfile.write(b"A")

    server.answer = trickle
    told = KeyServerConfig(ca_file=server.ca, timeout_s=0.5)
    try:
        with pytest.raises(EnvelopeError, match="no whole answer within"):
            fetch_key(server.url(), told, {})
    finally:
        given_up.set()


@pytest.mark.parametrize("body", [KEY, TEXT.encode(), json.dumps({"key": TEXT}).encode()])
def test_a_server_of_keys_is_asked_with_a_token(
    server: Server, tmp_path: Path, body: bytes
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    server.says(200, body)
    told = KeyServerConfig(token_file=token, ca_file=server.ca)
    assert fetch_key(server.url(), told, {}) == KEY
    assert server.seen == [("/v1/keys/recording?secret=1", "Bearer t0ken")]


def test_answers_that_are_no_key_are_named_without_secrets(server: Server) -> None:
    told = KeyServerConfig(ca_file=server.ca)
    for status, body, headers, said in [
        (403, b"", {}, "answered 403 instead of a key"),
        (302, b"", {"Location": "https://localhost:1/"}, "answered 302 instead of a key"),
        (200, b"short", {}, "holds no key of 32 bytes"),
        (200, b"{", {}, "holds no key of 32 bytes"),
        (200, b'{"other": 1}', {}, "holds no key of 32 bytes"),
        (200, b"[" * 4_000, {}, "holds no key of 32 bytes"),
        (200, bytes(10_000), {}, "holds no key of 32 bytes"),
    ]:
        server.says(status, body, **headers)
        with pytest.raises(EnvelopeError, match=said) as caught:
            fetch_key(server.url(), told, {})
        assert "secret" not in str(caught.value)
        assert "https://localhost/v1/keys/recording" in str(caught.value)


def test_a_server_nobody_vouches_for_is_not_asked(server: Server) -> None:
    server.says(200, KEY)
    with pytest.raises(EnvelopeError, match="no key from https://localhost"):
        fetch_key(server.url(), KeyServerConfig(), {})
    with pytest.raises(EnvelopeError, match="certificates"):
        fetch_key(server.url(), KeyServerConfig(ca_file=Path("/nowhere")), {})
    assert not server.seen


def test_a_server_may_want_to_know_who_asks(server: Server, tmp_path: Path) -> None:
    server.says(200, KEY)
    _make_ed25519(tmp_path, "recorder", 30)
    certificate, key = tmp_path / "seal-ed25519.crt", tmp_path / "seal-ed25519.key"
    server.context.load_verify_locations(certificate)
    server.context.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(EnvelopeError, match="no key from"):
        fetch_key(server.url(), KeyServerConfig(ca_file=server.ca), {})
    told = KeyServerConfig(ca_file=server.ca, certificate=certificate, private_key=key)
    assert fetch_key(server.url(), told, {}) == KEY
