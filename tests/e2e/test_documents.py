"""The commands in the documents do what is said there, as they are written."""

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from pydantic import SecretStr

from loadtest.addresses import local_addresses
from loadtest.participant import Participant
from loadtest.signal import SignalConfig
from loadtest.sinks import VideoSink
from loadtest.sources import (
    AUDIO_RATE_HZ,
    MEDIA_DIR,
    ClipVideo,
    SpeechAudio,
    load_clip,
    load_speech,
)
from signaling.config import Algorithm, AuthConfig, KeyConfig, SignalingConfig
from tests.e2e.documents import ROOT, Shell, shell_blocks
from tests.e2e.scene import Scene, flows, scene, settings, until
from witness.config import ServerConfig

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]

SECRET = "a secret that only this test knows"
ADMIN = "an administrator's token of this test"

TESTED_ELSEWHERE = {
    "make demo": "tests/witness/test_process.py",
    "witness loadtest soak": "tests/witness/test_soak.py",
}
"""First words of blocks that take minutes, and where what they call is tested."""

CONFIGURED = settings(
    server=ServerConfig(port=0, drain_s=0, admin_token=SecretStr(ADMIN)),
    signaling=SignalingConfig(
        auth=AuthConfig(
            demo_key=True,
            keys=(KeyConfig(kid="test", algorithm=Algorithm.HS256, secret=SECRET),),
        )
    ),
)


def block(document: str, holds: str) -> str:
    """The one block with this in it."""
    (found,) = (text for text in shell_blocks(document) if holds in text)
    return found


def shell(call: Scene, folder: Path, **variables: str) -> Shell:
    """A shell in which the documents' server is the scene's."""
    (folder / "secret").write_text(SECRET)
    (folder / "witness.yaml").write_text(
        "signaling: {auth: {keys: [{kid: test, algorithm: HS256, secret_file: secret}]}}"
    )
    (folder / "secret").chmod(0o600)
    url = call.server.url
    return Shell(
        folder,
        {"https://witness.example": url, "http://localhost:8080": url},
        {"WITNESS_CONFIG": str(folder / "witness.yaml"), **variables},
    )


def test_every_block_is_run_by_a_test() -> None:
    mine = Path(__file__).read_text()
    marks = re.findall(r'block\(\n?\s*"([^"]+)", "([^"]+)"', mine)
    for document in ("README.md", "docs/protocol.md", "docs/operations.md"):
        for text in shell_blocks(document):
            known = any(document == of and mark in text for of, mark in marks)
            elsewhere = [test for first, test in TESTED_ELSEWHERE.items() if text.startswith(first)]
            assert known or elsewhere, f"{document}: nothing runs\n{text}"
            assert all((ROOT / test).exists() for test in elsewhere)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a minute with speech."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    pictures, speech = load_clip(MEDIA_DIR / "carphone.mp4"), load_speech(MEDIA_DIR / "zh_tts0.wav")
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        height, video.width = pictures[0].shape
        video.height, video.pix_fmt = height * 2 // 3, "yuv420p"
        audio = film.add_stream("aac", rate=AUDIO_RATE_HZ)
        audio.layout = "mono"
        for index in range(60 * 25):
            frame = av.VideoFrame.from_ndarray(pictures[index % len(pictures)], format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            film.mux(video.encode(frame))
            at = index * AUDIO_RATE_HZ // 25
            samples = np.take(speech, range(at, at + AUDIO_RATE_HZ // 25), mode="wrap")[None]
            sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            sound.sample_rate, sound.pts = AUDIO_RATE_HZ, at
            film.mux(audio.encode(sound))
    return path


def knows_whip(program: str) -> bool:
    """Whether this ``ffmpeg`` is new enough."""
    if shutil.which(program) is None:
        return False
    listed = subprocess.run(
        [program, "-hide_banner", "-muxers"], capture_output=True, text=True, check=False
    )
    return re.search(r"\bwhip\b", listed.stdout) is not None


@pytest.fixture(params=["ffmpeg", "pyav"])
def ffmpeg(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A PATH on which ``ffmpeg`` is the machine's own, or PyAV's."""
    if request.param == "ffmpeg":
        if not knows_whip("ffmpeg"):
            pytest.skip("there is no ffmpeg with the whip muxer (8.0 and newer)")
        yield ""
        return
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/e2e/ffmpeg_by_pyav.py "$@"\n'
    )
    program.chmod(0o755)
    yield str(folder)


async def test_ffmpeg_publishes(tmp_path: Path, clip: Path, ffmpeg: str) -> None:
    async with scene(CONFIGURED) as call:
        rm = await call.join("rm", room="sale-7f3a", sends="")
        shutil.copy(clip, tmp_path / "clip.mp4")
        bash = shell(call, tmp_path)
        text = block("docs/protocol.md", "ffmpeg -re")
        if ffmpeg:
            text = f"PATH={ffmpeg}:$PATH\n{text}"
        async with bash.running(text) as process:
            watch = asyncio.create_task(process.wait())
            await until(lambda: len(rm.received) == 2 or watch.done(), "tracks of FFmpeg")
            if watch.done():
                pytest.fail(b"".join(await process.communicate()).decode(errors="replace")[-3000:])
            await call.hears_and_sees(rm)
            (camera,) = (t.sink for t in rm.received.values() if isinstance(t.sink, VideoSink))
            assert camera.width == 352
        assert await watch in (0, 130, 255)

        def farewell() -> bool:
            return any(kind == "participant.left" for kind, _ in rm.notices)

        await until(farewell, "farewell of FFmpeg")
        (left,) = (data for kind, data in rm.notices if kind == "participant.left")
        assert (left["participant_id"], left["reason"]) == ("camera-1", "left")


@pytest.mark.skipif(
    shutil.which("gst-inspect-1.0") is None
    or subprocess.run(
        ["gst-inspect-1.0", "whipclientsink"],
        capture_output=True,
        check=False,
    ).returncode
    != 0,
    reason="GStreamer has no whipclientsink here (gst-plugins-rs; not in Debian 12)",
)
async def test_gstreamer_publishes(tmp_path: Path) -> None:
    async with scene(CONFIGURED) as call:
        rm = await call.join("rm", room="sale-7f3a", sends="")
        async with shell(call, tmp_path).running(block("docs/protocol.md", "gst-launch-1.0")):
            await call.hears_and_sees(rm, tracks=1)


async def test_curl_watches_restarts_ice_and_leaves(tmp_path: Path) -> None:
    async with scene(CONFIGURED) as call:
        token = await call.token("rm", room="sale-7f3a", participant_id="rm-0042")
        await call.join("rm", token=token)
        bash = shell(call, tmp_path)
        connection = RTCPeerConnection()
        try:
            connection.addTransceiver("audio", direction="recvonly")
            await connection.setLocalDescription(await connection.createOffer())
            (tmp_path / "offer.sdp").write_text(connection.localDescription.sdp)
            await bash.run(block("docs/protocol.md", "SESSION=https"))
            answer = (tmp_path / "answer.sdp").read_text()
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await until(lambda: connection.connectionState == "connected", "connection")
            said = await bash.run(block("docs/protocol.md", "-X DELETE"))
            assert re.search(
                r"^HTTP/1.1 200 [\s\S]*^a=ice-ufrag:[\s\S]*^HTTP/1.1 200 ", said, re.MULTILINE
            )
            assert re.search(r"^ETag: ", said, re.MULTILINE | re.IGNORECASE)
            await until(lambda: connection.connectionState == "closed", "end by the server")
        finally:
            await connection.close()


async def test_curl_gets_a_demo_token_and_what_machines_read(tmp_path: Path) -> None:
    async with scene(CONFIGURED) as call:
        bash = shell(call, tmp_path, ADMIN_TOKEN=ADMIN)
        said = await bash.run(block("docs/protocol.md", "/v1/demo/tokens"))
        assert '"room": "sale-7f3a"' in said.replace('":"', '": "')
        said = await bash.run(block("docs/operations.md", "/readyz"))
        assert "witness_rooms" in said
        assert '"rooms"' in said


def hears_and_sees(person: Participant) -> bool:
    return len(person.received) == 2 and all(map(flows, person.received.values()))


async def test_two_people_on_a_local_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    filled_in = {"192.168.1.20": "127.0.0.1", "8443": str(port)}
    bash = Shell(tmp_path, filled_in, {"WITNESS_MEDIA__LISTEN": '["127.0.0.1"]'})
    async with bash.running(block("README.md", "witness serve")) as server:
        assert server.stdout is not None
        async with asyncio.timeout(60):
            said = ""
            while f":{port}" not in said:
                line = await server.stdout.readline()
                assert line, said
                said += line.decode()
        links = (await bash.run(block("README.md", "--page"))).split()
        tls = ssl.create_default_context(cafile=str(tmp_path / "lan" / "cert.pem"))
        async with aiohttp.ClientSession() as session:
            people: list[Participant] = []
            with local_addresses(["127.0.0.1"]):
                for link in links:
                    page, token = link.split("/#token=")
                    async with session.get(page, ssl=tls) as reply:
                        assert reply.status == 200
                    sources = {
                        "microphone": SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav")),
                        "camera": ClipVideo(load_clip(MEDIA_DIR / "carphone.mp4")),
                    }
                    person = Participant(SignalConfig(page, token, tls=tls), session, sources)
                    people.append(person)
                    await person.start()
                try:
                    for person in people:
                        await until(
                            lambda person=person: (
                                len(person.received) == 2
                                and all(map(flows, person.received.values()))
                            ),
                            "sound and picture",
                        )
                finally:
                    for person in people:
                        await person.leave()
