"""Runs a host of detectors: ``python -m analytics.host``."""

import argparse
import asyncio
import contextlib
import logging
import os
import re
import sys
from pathlib import Path

from pydantic import ValidationError

from analytics.errors import AnalyticsError
from analytics.host.config import HostConfig
from analytics.host.orphans import end_with_parent
from analytics.host.serve import serve_redis, serve_sockets
from analytics.loglines import ConsoleFormatter, JsonFormatter

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _name(text: str) -> str:
    """As it may stand in lines and keys."""
    if not re.fullmatch(r"[A-Za-z0-9_.:@/-]{1,64}", text):
        raise argparse.ArgumentTypeError("up to 64 of letters, digits and _ . : @ / -")
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m analytics.host", description=__doc__)
    parser.add_argument("--config", required=True, help="settings as JSON; - reads standard input")
    parser.add_argument(
        "--name", type=_name, default="embedded", help="of this host, in logs and findings"
    )
    parser.add_argument("--control", type=int, metavar="FD", help="socket of the server's words")
    parser.add_argument("--tap", type=int, metavar="FD", help="socket of media")
    parser.add_argument("--redis", metavar="URL", help="take both by Redis instead")
    parser.add_argument(
        "--node", type=_name, default="node", help="name of the server's node in Redis"
    )
    parser.add_argument("--level", choices=_LEVELS, default="INFO", help="of log lines")
    parser.add_argument("--json-lines", action="store_true", help="log lines for machines")
    parser.add_argument("--pii", action="store_true", help="write personal data to the log, too")
    return parser.parse_args()


def _config(place: str) -> HostConfig:
    text = sys.stdin.read() if place == "-" else Path(place).read_text("utf-8")
    return HostConfig.model_validate_json(text)


def _reason(error: ValueError) -> str:
    """Where settings are wrong, and why, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def main() -> int:
    """Runs until the server is gone."""
    arguments = _arguments()
    handler = logging.StreamHandler()
    form = JsonFormatter if arguments.json_lines else ConsoleFormatter
    handler.setFormatter(form(pii=arguments.pii))
    logging.basicConfig(level=arguments.level, handlers=[handler])
    try:
        config = _config(arguments.config)
    except OSError as error:
        sys.stderr.write(f"can't read the settings {arguments.config}: {error.strerror}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"can't use the settings {arguments.config}: {_reason(error)}\n")
        return 2
    with contextlib.suppress(OSError):
        # Whatever the server's own is: media come first.
        nice = max(config.nice, os.getpriority(os.PRIO_PROCESS, 0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    if config.idle_class:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if arguments.redis:
        serving = serve_redis(config, arguments.name, arguments.redis, arguments.node)
    elif arguments.control is not None and arguments.tap is not None:
        end_with_parent()
        serving = serve_sockets(config, arguments.name, arguments.control, arguments.tap)
    else:
        sys.stderr.write("either --redis, or --control and --tap, are needed\n")
        return 2
    try:
        asyncio.run(serving)
    except AnalyticsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
