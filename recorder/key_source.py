"""Where master keys come from: a file, the environment, or a server of keys."""

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import MutableMapping, Sequence
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from recorder.config import KeyServerConfig, RecordingConfig
from recorder.envelope import EnvelopeError, MasterKeys, key_of

__all__ = ["fetch_key", "keys_given", "load_keys"]

_MAX_ANSWER: Final = 4_096
_KINDS: Final = ("file:", "env:", "https://")


def load_keys(
    config: RecordingConfig, environ: MutableMapping[str, str] | None = None
) -> MasterKeys | None:
    """The keys of the configuration, fetched now; ``None`` without encryption.

    A key that came in a variable is taken out of ``environ``, so that processes started later
    don't inherit it.

    Raises:
        EnvelopeError: one can't be had, or is none; the text names the source.
    """
    environ = os.environ if environ is None else environ
    source = config.key if config.key_file is None else f"file:{config.key_file}"
    if source is None:
        return None
    names = {source, *config.old_keys}
    found = {name: fetch_key(name, config.key_server, environ) for name in sorted(names)}
    for name in names:
        if name.startswith("env:"):
            environ.pop(name.removeprefix("env:"), None)
    return MasterKeys(found[source], [found[name] for name in config.old_keys])


def keys_given(
    config: RecordingConfig, given: Sequence[str], environ: MutableMapping[str, str]
) -> MasterKeys | None:
    """Keys named on a command line, or else those of the configuration.

    Args:
        config: what is used if none is given.
        given: sources, or just paths.
        environ: variables.

    Raises:
        EnvelopeError: one can't be had, or is none.
    """
    if not given:
        return load_keys(config, environ)
    named = [text if text.startswith(_KINDS) else f"file:{text}" for text in given]
    first, *others = (fetch_key(name, config.key_server, environ) for name in named)
    return MasterKeys(first, others)


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
        with opener.open(request, timeout=server.timeout_s) as answer:
            body = answer.read(_MAX_ANSWER + 1)
    except urllib.error.HTTPError as error:
        raise EnvelopeError(
            "{url} answered {status} instead of a key", url=name, status=error.code
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise EnvelopeError("no key from {url}: {reason}", url=name, reason=reason) from None
    if body.lstrip()[:1] == b"{":
        try:
            value = json.loads(body)
            body = str(value["key"]).encode()
        except (ValueError, KeyError, RecursionError):
            raise EnvelopeError("{path} holds no key of 32 bytes", path=name) from None
    return key_of(body, name)


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
