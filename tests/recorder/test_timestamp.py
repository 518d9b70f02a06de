"""Asking a time-stamp authority over HTTP; the authority is OpenSSL behind a small server."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from recorder.errors import TimestampError
from recorder.sm2 import openssl
from recorder.timestamp import _POLICY, HttpAuthority, make_local_authority
from witness_verify.asn1 import load_pem
from witness_verify.stamp import check_stamp

pytestmark = pytest.mark.net


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tsa")
    make_local_authority(place)
    (place / "ts.cnf").write_text(_POLICY.format(directory=place))
    return place


def stamped(keys: Path, query: bytes) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        file.write(query)
        file.flush()
        config = ("-config", str(keys / "ts.cnf"), "-section", "local")
        return openssl("ts", "-reply", *config, "-queryfile", file.name)


@contextmanager
def serving(answers: "list[tuple[int, bytes] | None]", keys: Path) -> Iterator[str]:
    """A server that gives these answers; ``None`` is a good one."""

    class Authority(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, body = answers.pop(0) or (200, stamped(keys, query))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Authority)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_answer_is_one_the_verifier_accepts(keys: Path) -> None:
    with serving([None], keys) as url:
        answer = HttpAuthority(url, 10).stamp(b"signatures")
    trusted = load_pem((keys / "tsa.crt").read_bytes())
    assert check_stamp(answer, b"signatures", trusted)[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b""), "gave no answer"),
        ((200, b""), "refused"),
        ((200, b"\x30\x05\x30\x03\x02\x01\x02"), "refused"),
        ((200, b"<html>no time today</html>"), "refused"),
        ((200, b"\x30\x05\x30\x03\x02\x01\x00"), "something else"),
        ((200, b"\x30\x05\x30\x03\x02\x01\x00" + bytes(70_000)), "refused"),
    ],
)
def test_other_answers_are_refused(answer: tuple[int, bytes], said: str, keys: Path) -> None:
    with serving([answer], keys) as url, pytest.raises(TimestampError, match=said):
        HttpAuthority(url, 10).stamp(b"signatures")


def test_an_earlier_answer_given_again_is_refused(keys: Path) -> None:
    with serving([None], keys) as url:
        earlier = HttpAuthority(url, 10).stamp(b"signatures")
    with serving([(200, earlier)], keys) as url, pytest.raises(TimestampError, match="else"):
        HttpAuthority(url, 10).stamp(b"signatures")


def test_an_authority_that_is_not_there_is_said(keys: Path) -> None:
    with serving([], keys) as url:
        pass
    with pytest.raises(TimestampError, match="gave no answer"):
        HttpAuthority(url, 1).stamp(b"signatures")
