"""Resume tokens: random, stored as hashes, each good for one resume."""

import hashlib
import secrets
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["ResumeTokens"]

H = TypeVar("H", bound=Hashable)

TOKEN_BYTES = 32


def _random_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


class ResumeTokens(Generic[H]):
    """Which token brings back whom.

    A holder has one valid token; during the hand-over of a new one, whose delivery is not proven
    yet, the one just used is valid too.

    Args:
        make_token: source of fresh tokens of at least 256 random bits.
    """

    def __init__(self, make_token: Callable[[], str] = _random_token) -> None:
        self._make_token = make_token
        self._holders: dict[bytes, H] = {}
        self._hashes: dict[H, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def issue(self, holder: H) -> str:
        """Gives ``holder`` a token; all it had are void."""
        return self._replace(holder, ())

    def find(self, token: str) -> H | None:
        """Whom the token belongs to."""
        return self._holders.get(_hash(token))

    def rotate(self, holder: H, used: str) -> str:
        """Gives ``holder`` its next token; ``used`` stays valid until :meth:`confirm`."""
        return self._replace(holder, (_hash(used),))

    def confirm(self, holder: H) -> None:
        """The newest token has arrived: it alone is valid."""
        hashes = self._hashes.get(holder, ())
        for old in hashes[:-1]:
            del self._holders[old]
        if hashes:
            self._hashes[holder] = hashes[-1:]

    def revoke(self, holder: H) -> None:
        """Voids all tokens of ``holder``."""
        for old in self._hashes.pop(holder, ()):
            del self._holders[old]

    def _replace(self, holder: H, keep: tuple[bytes, ...]) -> str:
        self.revoke(holder)
        token = self._make_token()
        self._hashes[holder] = (*keep, _hash(token))
        for value in self._hashes[holder]:
            self._holders[value] = holder
        return token


def _hash(token: str) -> bytes:
    # Tokens are random, so a plain hash can't be searched backwards.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
