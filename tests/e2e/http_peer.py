"""Clients of WHIP and WHEP that know nothing of this server: FFmpeg in a process, and aiortc."""

import asyncio
import contextlib
import datetime as dt
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import av
from aioice import stun
from aioice.ice import Connection
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loadtest.sinks import AudioSink, VideoSink

__all__ = ["FRAGMENT", "HttpPeer", "ffmpeg_publishes"]

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
START_S = 40.0
"""FFmpeg itself gives up sooner; starting it may take long on a busy machine."""

END_S = 10.0


@contextlib.asynccontextmanager
async def ffmpeg_publishes(
    url: str, token: str, folder: Path, *, crashes: bool = False
) -> AsyncIterator[None]:
    """Publishes with FFmpeg; its end, with ``DELETE``, is the end of the block.

    Args:
        url: where.
        token: of the participant.
        folder: where its certificate is, or will be: it keeps one over several runs.
        crashes: it ends without a word.

    Raises:
        AssertionError: FFmpeg could not publish, or did not end well.
    """
    certificate, key = _certificate(folder)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.ffmpeg_whip", url, token, certificate, key),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if line != b"publishing\n":
            _, errors = await process.communicate()
            raise AssertionError(errors.decode(errors="replace")[-2000:])
        yield
        if crashes:
            return
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), END_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _certificate(folder: Path) -> tuple[str, str]:
    """A key on P-256 (RFC 8827, section 6.5).

    FFmpeg with GnuTLS makes one on P-224, which no WebRTC implementation has to accept.
    """
    paths = folder / "certificate.pem", folder / "key.pem"
    if all(path.exists() for path in paths):
        return str(paths[0]), str(paths[1])
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whip")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(certificate.public_bytes(pem))
    paths[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(paths[0]), str(paths[1])


class HttpPeer:
    """One aiortc connection made over HTTP.

    Args:
        server: address of the server, without path.
        token: for all requests.
    """

    def __init__(self, session: aiohttp.ClientSession, server: str, token: str) -> None:
        self._session = session
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"}
        self._readers: list[asyncio.Task[None]] = []
        self._receivers: list[RTCRtpTransceiver] = []
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sinks: list[AudioSink | VideoSink] = []
        self.resource = ""
        self.etag = ""

    def send(self, *tracks: MediaStreamTrack) -> None:
        """Will publish these."""
        for track in tracks:
            self.connection.addTransceiver(track, direction="sendonly")

    def receive(self, *kinds: str) -> None:
        """Will watch so many."""
        for kind in kinds:
            self._receivers.append(self.connection.addTransceiver(kind, direction="recvonly"))

    async def open(self, path: str) -> None:
        """Makes the session.

        Raises:
            AssertionError: it was refused.
        """
        await self.connection.setLocalDescription(await self.connection.createOffer())
        async with self._session.post(
            self._server + path,
            data=self.connection.localDescription.sdp,
            headers=self._headers | {"Content-Type": "application/sdp"},
        ) as reply:
            text = await reply.text()
            assert reply.status == 201, (reply.status, text)
            self.resource = self._server + reply.headers["Location"]
            self.etag = reply.headers["ETag"]
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
        for transceiver in self._receivers:
            sink = AudioSink() if transceiver.kind == "audio" else VideoSink()
            self.sinks.append(sink)
            self._readers.append(asyncio.create_task(_read(transceiver.receiver.track, sink)))

    async def request(self, method: str, **more: Any) -> tuple[int, str]:
        """Another request for the session; returns status and body."""
        headers = self._headers | more.pop("headers", {})
        async with self._session.request(method, self.resource, headers=headers, **more) as reply:
            self.etag = reply.headers.get("ETag", self.etag)
            return reply.status, await reply.text()

    async def restart_ice(self) -> tuple[str, str]:
        """Takes new credentials on both sides; returns the server's old ones.

        aiortc has no ICE restart of its own, so the running agent is given what it would have
        made and learned.
        """
        ice, old = self.ice, (self.ice.remote_username or "", self.ice.remote_password or "")
        ufrag, password = secrets.token_hex(4), secrets.token_hex(16)
        body = f"m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n"
        status, answer = await self.request(
            "PATCH", data=body, headers=FRAGMENT | {"If-Match": "*"}
        )
        assert status == 200, answer
        values = dict(
            line[2:].split(":", 1)
            for line in answer.splitlines()
            if line.startswith("a=ice-") and ":" in line
        )
        ice._local_username, ice._local_password = ufrag, password
        ice.remote_username, ice.remote_password = values["ice-ufrag"], values["ice-pwd"]
        return old

    @property
    def ice(self) -> Connection:
        """The agent below."""
        (transceiver, *_) = self.connection.getTransceivers()
        ice = (transceiver.sender or transceiver.receiver).transport.transport
        assert isinstance(ice._connection, Connection)
        return ice._connection

    async def check_path(self, remote: tuple[str, str] | None = None) -> bool:
        """Whether the server answers a connectivity check, with credentials of old if given."""
        ice = self.ice
        present = ice.remote_username, ice.remote_password
        if remote is not None:
            ice.remote_username, ice.remote_password = remote
        try:
            (pair,) = ice._nominated.values()
            request = ice.build_request(pair, nominate=True)
            key = (ice.remote_password or "").encode()
        finally:
            ice.remote_username, ice.remote_password = present
        try:
            await pair.protocol.request(
                request, pair.remote_addr, integrity_key=key, retransmissions=1
            )
        except stun.TransactionError:
            return False
        return True

    async def close(self) -> None:
        """Ends the connection without a word to the server's HTTP side. Idempotent."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.connection.close()


async def _read(track: MediaStreamTrack, sink: AudioSink | VideoSink) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            match sink, await track.recv():
                case AudioSink() as ears, av.AudioFrame() as frame:
                    ears.add(frame)
                case VideoSink() as eyes, av.VideoFrame() as frame:
                    eyes.add(frame)
