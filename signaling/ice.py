"""ICE servers for clients whose network reaches neither UDP nor the media ports.

A TURN server that shares a secret with this one accepts user names that begin with the time they
expire at, with the HMAC of the name as password: coturn's ``use-auth-secret``. So no account is
kept anywhere, and what one client got is of no use a day later.

Source: draft-uberti-behave-turn-rest-00, section 2.2.
"""

import base64
import hmac
import secrets
from collections.abc import Callable
from typing import Any

from signaling.auth import first_line
from signaling.config import IceConfig
from signaling.errors import KeyMaterialError

__all__ = ["IceServers", "turn_credentials"]

_NAME = "ice.turn_secret_file"


def turn_credentials(secret: str, name: str, expires_at: int) -> tuple[str, str]:
    """``(user name, password)``, good until ``expires_at`` (Unix time).

    Args:
        secret: shared with the TURN server.
        name: tells users apart in its log; no personal data.
        expires_at: seconds since 1970.
    """
    username = f"{expires_at}:{name}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(digest).decode()


class IceServers:
    """What a participant is told to try.

    Args:
        config: addresses and secret.
        make_name: yields the names in credentials.

    Raises:
        KeyMaterialError: the file with the secret can't be read or holds none.
    """

    def __init__(
        self, config: IceConfig, *, make_name: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._config = config
        self._make_name = make_name
        self._secret = _load_secret(config)

    def issue(self, now_unix_s: float) -> tuple[dict[str, Any], ...]:
        """Entries for ``RTCConfiguration.iceServers``, with credentials of their own."""
        found: list[dict[str, Any]] = []
        if self._config.stun_urls:
            found.append({"urls": list(self._config.stun_urls)})
        if self._secret is not None:
            expires_at = int(now_unix_s + self._config.credential_s)
            username, password = turn_credentials(self._secret, self._make_name(), expires_at)
            found.append(
                {
                    "urls": list(self._config.turn_urls),
                    "username": username,
                    "credential": password,
                }
            )
        return tuple(found)


def _load_secret(config: IceConfig) -> str | None:
    if config.turn_secret is not None:
        return config.turn_secret.get_secret_value()
    path = config.turn_secret_file
    if path is None:
        return None
    try:
        secret = first_line(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise KeyMaterialError("can't be read: {reason}", _NAME, reason=reason) from error
    except ValueError as error:
        raise KeyMaterialError(str(error), _NAME) from None
    if len(secret) < IceConfig.MIN_SECRET_CHARS:
        raise KeyMaterialError("the secret must have at least 16 characters", _NAME)
    return secret
