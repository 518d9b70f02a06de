import io
import ipaddress
import json
import logging
from collections.abc import Iterator

import pytest

from analytics.loglines import ConsoleFormatter, JsonFormatter
from witness.config import LogConfig, LogFormat, LogLevel
from witness.logs import configure_logging

NAME, ADDRESS = "王小明", "203.0.113.9"


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def record(message: str = "participant joined", **extra: object) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord(
        "x", logging.INFO, __file__, 1, message, (), None, extra=extra
    )


def test_json_line_holds_the_extra_values() -> None:
    line = json.loads(JsonFormatter(pii=False).format(record(room_id="r1", count=2)))
    assert line["message"] == "participant joined"
    assert (line["level"], line["logger"]) == ("info", "x")
    assert (line["room_id"], line["count"]) == ("r1", 2)
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("formatter", [JsonFormatter, ConsoleFormatter])
def test_personal_data_is_written_only_on_request(formatter: type[JsonFormatter]) -> None:
    entry = record(**{"pii.name": NAME, "room_id": "r1"})
    assert NAME not in formatter(pii=False).format(entry)
    assert NAME in formatter(pii=True).format(entry)


@pytest.mark.parametrize("formatter", [JsonFormatter, ConsoleFormatter])
def test_exception_text_counts_as_personal_data(formatter: type[JsonFormatter]) -> None:
    entry = record()
    try:
        ipaddress.ip_address(ADDRESS + "!")
    except ValueError as error:
        entry.exc_info = (type(error), error, error.__traceback__)
    assert ADDRESS not in formatter(pii=False).format(entry)
    assert "ValueError" in formatter(pii=False).format(entry)
    assert ADDRESS in formatter(pii=True).format(entry)


def test_remote_input_cannot_forge_a_console_line() -> None:
    line = ConsoleFormatter(pii=False).format(record(room_id="r1\n2026 error x: forged\x1b[2J"))
    assert "\n" not in line
    assert "\x1b" not in line


def test_console_line_quotes_values_with_spaces() -> None:
    assert ConsoleFormatter(pii=False).format(record(reason="no room")).endswith('reason="no room"')


@pytest.mark.parametrize("formatter", [JsonFormatter, ConsoleFormatter])
@pytest.mark.parametrize(
    ("name", "message", "arguments", "expected"),
    [
        ("aiohttp.server", "Error handling request from %s", (ADDRESS,), "request from …"),
        ("asyncio", f"Fatal error\nsocket: raddr=('{ADDRESS}', 5)", (), "Fatal error"),
        ("asyncio", f"Exception in callback f('{ADDRESS}')", (), "in callback f('…')"),
        ("asyncio", "closed [2001:db8::9]:443 after 2 s", (), "closed […]:443 after 2 s"),
        ("asyncio", "took %.3f seconds by %r", (0.25, NAME), "took 0.250 seconds by"),
        ("asyncio", "took %d seconds", (NAME,), "took %d seconds"),
        ("asyncio", "by %(name)s", ({"name": NAME},), "by …"),
        ("py.warnings", "%s", (f"a.py:1: unclosed <raddr=('{ADDRESS}', 5)>",), "a.py:1: unclosed"),
        ("sfu.events", "took %s", ("static",), "took static"),
    ],
)
def test_libraries_do_not_write_personal_data(
    formatter: type[JsonFormatter],
    name: str,
    message: str,
    arguments: tuple[object, ...],
    expected: str,
) -> None:
    entry = logging.LogRecord(name, logging.ERROR, __file__, 1, message, arguments, None)
    line = formatter(pii=False).format(entry)
    assert expected in line
    for mark in (NAME, ADDRESS, "2001:db8::9"):
        assert mark not in line


@pytest.mark.usefixtures("_logging_restored")
def test_level_and_format_are_configurable() -> None:
    stream = io.StringIO()
    configure_logging(LogConfig(format=LogFormat.JSON, level=LogLevel.WARNING), stream)
    logging.getLogger("a").info("left out")
    logging.getLogger("a").warning("written", extra={"room_id": "r1"})
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["room_id"] == "r1"
