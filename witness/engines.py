"""Starts the media engines of the process."""

import contextlib
import os
import re
from collections.abc import Sequence

from recorder.config import RecordingConfig
from sfu._media import Certificate, Engine, EngineConfigError
from witness import os_errors
from witness.config import MediaConfig, socket_address
from witness.errors import StartError
from witness.i18n import t

__all__ = ["prefer_engines", "start_engines", "stop_engines"]

_CANNOT_BIND = re.compile(r"listen: cannot bind UDP (\S+): ")


def start_engines(
    config: MediaConfig,
    certificate: Certificate,
    recording: RecordingConfig | None = None,
    key: bytes | None = None,
) -> list[Engine]:
    """One engine a thread, each with its own port of UDP and TCP.

    Raises:
        StartError: an address can't be used; engines already started are closed again.
    """
    recording = recording or RecordingConfig()
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
                    min_bitrate_bps=config.min_bitrate_bps,
                    start_bitrate_bps=config.start_bitrate_bps,
                    max_bitrate_bps=config.max_bitrate_bps,
                    tcp=config.tcp,
                    tcp_port=config.tcp_port + index if config.tcp_port else 0,
                    max_tcp_connections=config.max_tcp_connections_per_engine,
                    max_tcp_connections_per_address=config.max_tcp_connections_per_address,
                    capture_directory=recording.directory,
                    capture_segment_s=recording.segment_seconds,
                    capture_buffer_bytes=recording.buffer_mib << 20,
                    capture_key=key,
                    realtime=config.realtime,
                )
            )
    except EngineConfigError as error:
        stop_engines(engines)
        raise StartError(_sentence(str(error))) from error
    return engines


def _sentence(text: str) -> str:
    """The plane's error; it speaks English only, but the system's reason is known by number."""
    found = _CANNOT_BIND.match(text)
    if found is None:
        return f"media: {text}"
    address, reason = found[1], os_errors.native_reason(text)
    return t("can't receive media on UDP {address} (media.listen, media.port): {reason}").format(
        address=address, reason=reason
    )


def stop_engines(engines: Sequence[Engine]) -> None:
    """Closes all, whatever becomes of each."""
    with contextlib.ExitStack() as stack:
        for engine in engines:
            stack.callback(engine.close)


_NICER = 5


def prefer_engines() -> None:
    """Makes the calling thread yield to the media threads where they share a CPU.

    Niceness is a thread's own on Linux: the media threads, which run already, keep theirs, and
    what this thread starts later inherits its new one. Raising it needs no privilege.
    """
    os.nice(_NICER)
