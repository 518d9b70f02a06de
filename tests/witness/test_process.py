"""The command as people start it: a process of its own, real signals, exit codes."""

import asyncio
import ipaddress
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from loadtest.addresses import local_addresses
from loadtest.participant import Participant
from loadtest.signal import SignalConfig
from loadtest.sources import MEDIA_DIR, SpeechAudio, load_speech
from sfu.addresses import host_addresses
from witness.config import socket_address

pytestmark = [pytest.mark.net, pytest.mark.timeout(90)]

ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("WITNESS_")},
    "LANG": "C.UTF-8",
    "WITNESS_SERVER__PORT": "0",
    "WITNESS_MEDIA__ENGINES": "1",
    "WITNESS_MEDIA__LISTEN": "127.0.0.1",
    "WITNESS_LOG__FORMAT": "json",
    "WITNESS_SIGNALING__AUTH__DEMO_KEY": "true",
}


@asynccontextmanager
async def running(**environment: str) -> AsyncIterator[tuple[Process, str]]:
    """A server process and its URL; killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "witness", "serve",
        env={**ENVIRONMENT, **environment}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.search(r"https?://\S+", line)
        assert found, line
        yield process, found[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def join(
    session: aiohttp.ClientSession,
    url: str,
    name: str = "王小明",
    address: str = "127.0.0.1",
    *,
    media: bool = False,
) -> Participant:
    body = {"room": "r1", "role": "rm", "name": name}
    async with session.post(f"{url}/v1/demo/tokens", json=body) as response:
        token = (await response.json())["token"]
    sources = {"microphone": SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav"))} if media else {}
    person = Participant(SignalConfig(url, token), session, sources)
    with local_addresses([address]):
        await person.start()
    return person


async def finished(process: Process) -> tuple[int, str]:
    assert process.stderr is not None
    errors = (await process.stderr.read()).decode()
    return await process.wait(), errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_idle_server_stops_at_once(number: signal.Signals) -> None:
    async with running(WITNESS_SERVER__DRAIN_S="600") as (process, _):
        process.send_signal(number)
        async with asyncio.timeout(10):
            code, _ = await finished(process)
        assert code == 0


async def test_call_goes_on_while_draining_and_its_end_ends_the_server() -> None:
    async with (
        running(WITNESS_SERVER__DRAIN_S="600") as (process, url),
        aiohttp.ClientSession() as session,
    ):
        person = await join(session, url)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while "draining" not in [kind for kind, _ in person.notices]:
                await asyncio.sleep(0.02)
        reply = await person.signal.request("message", {"text": "还在", "to": None})
        assert reply["message_id"]
        assert process.returncode is None
        await person.leave()
        async with asyncio.timeout(10):
            code, errors = await finished(process)
        assert code == 0
        assert "王小明" not in errors
        assert "127.0.0.1" not in errors
        lines = [json.loads(line) for line in errors.splitlines()]
        assert [line["message"] for line in lines].count("draining") == 1


@pytest.mark.parametrize(("drain_s", "signals"), [("0.3", 1), ("600", 2)])
async def test_deadline_or_second_signal_ends_the_call(drain_s: str, signals: int) -> None:
    async with (
        running(WITNESS_SERVER__DRAIN_S=drain_s) as (process, url),
        aiohttp.ClientSession() as session,
    ):
        person = await join(session, url)
        process.send_signal(signal.SIGTERM)
        if signals == 2:
            async with asyncio.timeout(10):
                while "draining" not in [kind for kind, _ in person.notices]:
                    await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            code, _ = await finished(process)
        assert code == 0
        assert person.failure is not None
        assert person.failure.startswith("draining")
        await person.leave()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_addresses_for_others_are_told(host: str) -> None:
    async with running(
        WITNESS_SERVER__HOST=host,
        WITNESS_SIGNALING__AUTH__DEMO_KEY="false",
        WITNESS_METRICS__LISTEN="127.0.0.1:0",
    ) as (process, url):
        assert process.stdout is not None
        told = []
        while "nobody can join" not in (line := (await process.stdout.readline()).decode()):
            assert line
            told.append(line)
    port = url.rpartition(":")[2]
    families = (4,) if host == "0.0.0.0" else (4, 6)
    others = [
        f"also at http://{socket_address(text, int(port))}\n"
        for text in host_addresses()
        if (address := ipaddress.ip_address(text)).version in families and not address.is_loopback
    ]
    assert [line for line in told if line.startswith("also at")] == others
    assert any("https pages only" in line for line in told) == bool(others)
    assert any(line.startswith("metrics at http://127.0.0.1:") for line in told)


async def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "witness", *arguments,
        env={**ENVIRONMENT, **environment}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_wrong_variable_is_one_sentence_and_code_2() -> None:
    code, _, errors = await command("serve", WITNESS_SERVER__PROT="1")
    assert code == 2
    assert errors == (
        "witness: WITNESS_SERVER__PROT: there is no such setting;"
        " did you mean WITNESS_SERVER__PORT?\n"
    )


async def test_taken_port_is_one_sentence_and_code_3() -> None:
    async with running() as (_, url):
        port = url.rpartition(":")[2]
        code, _, errors = await command("serve", WITNESS_SERVER__PORT=port)
    assert code == 3
    assert errors.splitlines()[-1].startswith(f"witness: can't listen on 127.0.0.1:{port}")
    assert "Traceback" not in errors


NAME, AGENT, ADDRESS = "王小明标记", "MarkedAgent/9", "127.44.55.66"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("pii", ["true", "false"])
async def test_personal_data_is_in_the_output_only_on_request(form: str, pii: str) -> None:
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0))
    async with (
        running(WITNESS_LOG__FORMAT=form, WITNESS_LOG__PII=pii, WITNESS_LOG__LEVEL="debug") as (
            process,
            url,
        ),
        aiohttp.ClientSession(connector=connector, headers={"User-Agent": AGENT}) as session,
    ):
        person = await join(session, url, name=NAME, address=ADDRESS, media=True)
        async with asyncio.timeout(15):
            while person.connection_state != "connected":
                await asyncio.sleep(0.02)
        # What aiohttp itself complains of holds the address and what was sent.
        async with session.get(f"{url}/v1/ws", headers={"X": NAME}) as response:
            assert response.status == 400
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(url.rpartition(":")[2]), local_addr=(ADDRESS, 0)
        )
        writer.write(f"NONSENSE {NAME}\r\n\r\n".encode())
        await reader.read()
        writer.close()
        await person.leave()
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        code, errors = await finished(process)
        output = errors + (await process.stdout.read()).decode()
    assert code == 0
    marks = {mark: mark in output for mark in (NAME, AGENT, ADDRESS)}
    assert marks == dict.fromkeys((NAME, AGENT, ADDRESS), pii == "true"), output
    if pii == "true" and form == "json":
        lines = {line["message"]: line for line in map(json.loads, errors.splitlines())}
        assert lines["participant joined"]["pii.name"] == NAME
        for message in ("socket opened", "socket joined"):
            assert lines[message]["pii.remote"] == ADDRESS
            assert lines[message]["pii.user_agent"] == AGENT
        assert lines["socket joined"]["participant_id"].startswith("rm-")
        assert lines["media path chosen"]["pii.remote"].startswith(f"{ADDRESS}:")


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        (["--keep", "--seconds", "600"], "2 participants are connected", 0),
        (["--keep", "--seconds", "1"], "staying up", 0),
        (["--seconds", "600"], "2 participants are connected", 130),
    ],
)
async def test_interrupted_demo_that_was_to_stay_up_is_a_success(
    arguments: list[str], text: str, expected: int, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "witness", "demo", "--port", "0", *arguments,
        "--directory", str(tmp_path),
        env=ENVIRONMENT, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(120):
            while text not in (line := (await process.stdout.readline()).decode()):
                assert line, "the demo ended"
            process.send_signal(signal.SIGINT)
            code, errors = await finished(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (code, errors) == (expected, "")


async def test_demo_reports_what_everybody_received_and_seals_it(tmp_path: Path) -> None:
    arguments = ("--seconds", "4", "--port", "0", "--json", "--directory", str(tmp_path))
    code, out, errors = await command("demo", *arguments)
    assert code == 0, errors
    report = json.loads(out)
    assert report["problems"] == []
    received = {(r["receiver"], r["sender"], r["kind"]): r for r in report["received"]}
    assert len(received) == 4
    for line in received.values():
        assert line["frames"] > 0
        assert line["delay_s"] is None or 0 < line["delay_s"] < 5
    (made,) = report["evidence"]
    assert made["verdict"] in {"PASS", "PASS WITH DECLARED GAPS"}
    assert made["package"] in errors
    code, out, errors = await command("verify", made["package"], "--trust", *made["trust"])
    assert (code, errors) == (made["exit"], "")
    check_files(made, tmp_path)


def check_files(made: dict[str, str | None], directory: Path) -> None:
    session = Path(made["session"] or "")
    assert session.parent.parent.parent == directory
    assert len({path.parent.name for path in session.glob("tracks/*/*.pcapng")}) == 4
    if made["film"] is not None:
        assert Path(made["film"]).stat().st_size > 10_000
