"""Starts the media engines of the process."""

import contextlib
from collections.abc import Sequence

from sfu._media import Certificate, Engine, EngineConfigError
from witness.config import MediaConfig, socket_address
from witness.errors import StartError

__all__ = ["start_engines", "stop_engines"]


def start_engines(config: MediaConfig, certificate: Certificate) -> list[Engine]:
    """One engine a thread, each with its own UDP port.

    Raises:
        StartError: an address can't be used; engines already started are closed again.
    """
    engines: list[Engine] = []
    try:
        for index in range(config.engine_count()):
            port = config.port + index if config.port else 0
            engines.append(
                Engine(
                    certificate=certificate,
                    listen=[socket_address(host, port) for host in config.listen],
                    name=f"media-{index}",
                    max_rooms=config.max_rooms_per_engine,
                    max_transports=config.max_transports_per_engine,
                    event_queue=config.event_queue,
                )
            )
    except EngineConfigError as error:
        stop_engines(engines)
        raise StartError(f"media: {error}") from error
    return engines


def stop_engines(engines: Sequence[Engine]) -> None:
    """Closes all, whatever becomes of each."""
    with contextlib.ExitStack() as stack:
        for engine in engines:
            stack.callback(engine.close)
