"""Where log lines go, and which; their form is that of :mod:`analytics.loglines`."""

import logging
import sys
from typing import TextIO

from analytics.loglines import ConsoleFormatter, JsonFormatter
from witness.config import LogConfig, LogFormat

__all__ = ["configure_logging"]


def configure_logging(config: LogConfig, stream: TextIO | None = None) -> None:
    """Sends everything at ``config.level`` or above to ``stream`` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter if config.format is LogFormat.JSON else ConsoleFormatter
    handler.setFormatter(formatter(pii=config.pii))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(config.level.upper())
    # One line per request would hold addresses and says nothing that /metrics does not.
    logging.getLogger("aiohttp.access").disabled = True
    logging.captureWarnings(capture=True)
