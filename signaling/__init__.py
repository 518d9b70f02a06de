"""Signaling: message schema, state machines without I/O, and the server around them.

The composition root puts it together::

    demo_key = MintingKey.demo() if config.auth.demo_key else None
    hub = Hub(config, make_verifier(config.auth, demo_key),
              lambda listener: Sfu(sfu_config, engines, fingerprint, listener))
    app = build_app(hub, web_root=path, demo_key=demo_key)
    ...
    hub.drain(deadline_s, system_clock())  # on SIGTERM; then wait for hub.is_idle
"""

from signaling.auth import Identity, MintingKey, TokenVerifier, make_verifier, mint_token
from signaling.clock import Clock, Instant, system_clock
from signaling.config import SignalingConfig
from signaling.errors import ErrorCode, SignalingError
from signaling.hub import Hub
from signaling.server import build_app, has_bearer
from signaling.stats import Stats

__all__ = [
    "Clock",
    "ErrorCode",
    "Hub",
    "Identity",
    "Instant",
    "MintingKey",
    "SignalingConfig",
    "SignalingError",
    "Stats",
    "TokenVerifier",
    "build_app",
    "has_bearer",
    "make_verifier",
    "mint_token",
    "system_clock",
]
