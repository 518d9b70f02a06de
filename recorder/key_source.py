"""Where master keys come from: a file, the environment, or a server of keys."""

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from recorder.config import KeyServerConfig, RecordingConfig
from recorder.envelope import KEY_BYTES, EnvelopeError, MasterKeys, key_of

__all__ = ["fetch_key", "keys_given", "load_keys"]

_MAX_ANSWER: Final = 4_096
_KINDS: Final = ("file:", "env:", "https://")


def load_keys(
    config: RecordingConfig, environ: MutableMapping[str, str] | None = None
) -> MasterKeys | None:
    """The keys of the configuration, fetched now; ``None`` without encryption.

    A key that came in a variable is taken out of ``environ``, so that processes started later
    don't inherit it; in ``/proc/PID/environ`` it stays for who may read that.

    Raises:
        EnvelopeError: one can't be had, or is none; the text names the source.
    """
    environ = os.environ if environ is None else environ
    source = config.key if config.key_file is None else f"file:{config.key_file}"
    if source is None:
        return None
    names = {source, *config.old_keys}
    found = {name: fetch_key(name, config.key_server, environ) for name in sorted(names)}
    _forget(names, environ)
    return MasterKeys(found[source], [found[name] for name in config.old_keys])


def keys_given(
    config: RecordingConfig, given: Sequence[str], environ: MutableMapping[str, str]
) -> MasterKeys | None:
    """Keys named on a command line, or else those of the configuration.

    Args:
        config: what is used if none is given.
        given: sources, or just paths.
        environ: variables; those with keys are taken out.

    Raises:
        EnvelopeError: one can't be had, or is none.
    """
    if not given:
        return load_keys(config, environ)
    named = [text if text.startswith(_KINDS) else f"file:{text}" for text in given]
    first, *others = [fetch_key(name, config.key_server, environ) for name in named]
    _forget(named, environ)
    return MasterKeys(first, others)


def _forget(names: Iterable[str], environ: MutableMapping[str, str]) -> None:
    for name in names:
        if name.startswith("env:"):
            environ.pop(name.removeprefix("env:"), None)


def fetch_key(source: str, server: KeyServerConfig, environ: MutableMapping[str, str]) -> bytes:
    """One master key.

    Args:
        source: ``file:PATH``, ``env:NAME`` or ``https://…``.
        server: how to speak to servers.
        environ: variables.

    Raises:
        EnvelopeError: it can't be had, or is none.
    """
    kind, _, rest = source.partition(":")
    match kind:
        case "file":
            return key_of(_read(Path(rest)), rest)
        case "env":
            if rest not in environ:
                raise EnvelopeError("the variable {name} with a key is not set", name=rest)
            return key_of(environ[rest].encode(), rest)
    return _from_server(source, server)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnvelopeError(
            "can't read {path}: {reason}", path=path, reason=error.strerror
        ) from None


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A key's address is what was configured: nobody sends us elsewhere with the token."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        """Goes nowhere."""
        return


def _from_server(url: str, server: KeyServerConfig) -> bytes:
    # What stands in a query may be secret; host and path tell enough.
    parts = urlsplit(url)
    name = f"https://{parts.hostname}{parts.path}"
    headers = {"Accept": "application/json, application/octet-stream, text/plain"}
    if server.token_file is not None:
        token = _read(server.token_file).decode("ascii", "replace").strip()
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - https only, by config
    # Not through a proxy of the environment: the key's way is the configured one.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        _StayHere(),
        urllib.request.HTTPSHandler(context=_context(server)),
    )
    try:
        body = _within(server.timeout_s, lambda: _body(opener, request, server.timeout_s))
    except urllib.error.HTTPError as error:
        error.close()
        raise EnvelopeError(
            "{url} answered {status} instead of a key", url=name, status=error.code
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise EnvelopeError("no key from {url}: {reason}", url=name, reason=reason) from None
    # A raw key may begin like JSON; JSON with a key is longer.
    if len(body) != KEY_BYTES and body.lstrip()[:1] == b"{":
        try:
            value = json.loads(body)
            body = str(value["key"]).encode()
        except (ValueError, KeyError, RecursionError):
            raise EnvelopeError("{path} holds no key of 32 bytes", path=name) from None
    return key_of(body, name)


def _body(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout_s: float
) -> bytes:
    with opener.open(request, timeout=timeout_s) as answer:
        body: bytes = answer.read(_MAX_ANSWER + 1)
    return body


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """Does something in a thread that nobody waits for longer: a socket's own time limit begins
    anew with every byte.

    Raises:
        TimeoutError: it took longer.
        Exception: what the work raised.
    """
    done: Future[bytes] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is the one's who waits
            done.set_exception(error)

    threading.Thread(target=run, name="key-server", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None


def _context(server: KeyServerConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if server.certificate is not None:
            context.load_cert_chain(server.certificate, server.private_key)
    except (OSError, ssl.SSLError) as error:
        raise EnvelopeError(
            "certificates for the server of keys can't be used: {reason}", reason=error
        ) from None
    return context
