"""Asks the server on this machine whether it is alive."""

import http.client
import ssl

from witness.config import ServerConfig

__all__ = ["is_alive"]

_TIMEOUT_S = 2.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def is_alive(config: ServerConfig) -> bool:
    """Whether ``/livez`` answers 200 within two seconds."""
    host = _WILDCARDS.get(config.host, config.host)
    connection: http.client.HTTPConnection
    if config.tls:
        # The certificate is for the name browsers use, not for this address.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, config.port, timeout=_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, config.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
