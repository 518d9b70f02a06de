"""Tokens for uploads: good for one participant's part of one session, after the call as well.

A token is checked with a key in the recordings' directory, so it outlives a restart of the server.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder.backfill.errors import BackfillError

__all__ = ["Bearer", "TokenError", "TokenExpiredError", "UploadTokens"]

_KEY_NAME: Final = "upload.key"
_KEY_BYTES: Final = 32
_MAX_CHARS: Final = 512


class TokenError(BackfillError):
    """The token is not one of this server."""


class TokenExpiredError(TokenError):
    """Its time is over."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token stands for."""

    session: str
    participant: str
    expires_s: int


class UploadTokens:
    """Makes and checks tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def at(cls, directory: Path) -> "UploadTokens":
        """With the key in this directory, which is made if there is none.

        Raises:
            OSError: it can't be read or made.
            TokenError: the file holds something else.
        """
        path = directory / _KEY_NAME
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != _KEY_BYTES:
                raise TokenError("{path} is no key for uploads", path=path) from None
            return cls(key)
        with os.fdopen(descriptor, "wb") as file:
            key = secrets.token_bytes(_KEY_BYTES)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    def issue(self, session: str, participant: str, expires_s: int) -> str:
        """A token, good until ``expires_s``, Unix time."""
        body = f"{session}\n{participant}\n{expires_s}".encode()
        return f"{_text(body)}.{_text(self._sign(body))}"

    def check(self, token: str, now_s: float) -> Bearer:
        """Whom a token stands for.

        Raises:
            TokenError: forged or malformed.
            TokenExpiredError: its time is over.
        """
        body_text, _, sign_text = token.partition(".")
        if len(token) > _MAX_CHARS:
            raise TokenError("the token is not accepted")
        try:
            body, sign = _bytes(body_text), _bytes(sign_text)
        except (ValueError, binascii.Error):
            raise TokenError("the token is not accepted") from None
        if not hmac.compare_digest(sign, self._sign(body)):
            raise TokenError("the token is not accepted")
        session, participant, expires = body.decode().split("\n")
        bearer = Bearer(session, participant, int(expires))
        if now_s >= bearer.expires_s:
            raise TokenExpiredError("the time for uploads is over")
        return bearer

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, b"witness upload\n" + body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
