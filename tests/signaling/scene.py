"""A hub with a real ``Sfu`` on a fake engine, virtual time, and ends of sockets."""

import functools
import itertools
import json
from collections.abc import Iterable
from typing import Any, cast

from jsonschema import Draft202012Validator

from sfu import EngineLike, Role, Sfu, SfuConfig, Source
from signaling.auth import MintingKey, TokenVerifier, mint_token
from signaling.clock import Instant
from signaling.config import SignalingConfig
from signaling.connection import Connection, Remote
from signaling.hub import Hub
from signaling.schema import build_schema
from tests.fakes.engine import Event, FakeEngine
from tests.signaling.offers import offer_sdp

__all__ = ["End", "Scene", "check_server_frame", "client_validator", "resume_token"]

UNIX_S = 1_800_000_000.0
FINGERPRINT = ":".join(["AB"] * 32)


@functools.cache
def _schema() -> dict[str, Any]:
    return build_schema()


@functools.cache
def client_validator() -> Draft202012Validator:
    return Draft202012Validator({"$defs": _schema()["$defs"], "$ref": "#/$defs/ClientMessage"})


@functools.cache
def _server_validators() -> dict[str, Draft202012Validator]:
    """By message type: trying all alternatives for every frame would take most of the time."""
    defs = _schema()["$defs"]
    return {
        envelope["properties"]["type"]["const"]: Draft202012Validator({"$defs": defs, **envelope})
        for envelope in defs["ServerMessage"]["oneOf"]
    }


def check_server_frame(frame: dict[str, Any]) -> None:
    """Holds a frame of the server to the published schema."""
    error = next(_server_validators()[frame["type"]].iter_errors(frame), None)
    assert error is None, (frame, error and error.message)


class End:
    """The client's end of one socket; checks every frame against the schema."""

    def __init__(self, scene: "Scene", *, local: bool = False) -> None:
        self.scene = scene
        self.frames: list[dict[str, Any]] = []
        self.wakes = 0
        self.token = ""
        self._last_seq = 0
        self.connection: Connection = scene.hub.open(Remote(local=local), self._wake, scene.now)

    def _wake(self) -> None:
        self.wakes += 1

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def closed(self) -> str | None:
        """Reason of the close frame."""
        self.pump()
        return self.connection.close.reason if self.connection.close else None

    def send_text(self, text: str) -> None:
        self.connection.receive_text(text, self.scene.now)

    def send(self, message: dict[str, Any]) -> None:
        self.send_text(json.dumps(message, ensure_ascii=False))

    def post(self, kind: str, id_: str | None = None, **data: Any) -> str:
        """Sends a request; returns its id."""
        id_ = id_ or self.scene.next_id()
        message = {"type": kind, "id": id_, "data": data}
        self.scene.check_sent(message)
        self.send(message)
        return id_

    def ask(self, kind: str, id_: str | None = None, **data: Any) -> dict[str, Any]:
        """Sends a request and returns its reply."""
        return self.reply(self.post(kind, id_, **data))

    def reply(self, request_id: str) -> dict[str, Any]:
        """The last reply to a request; there has to be one."""
        self.pump()
        replies = [frame for frame in self.frames if frame.get("re") == request_id]
        assert replies, f"no reply to {request_id}"
        return replies[-1]

    def ack(self, seq: int | None = None) -> None:
        self.pump()
        self.send({"type": "ack", "data": {"seq": self.last_seq if seq is None else seq}})

    def pump(self) -> list[dict[str, Any]]:
        """Takes what the server has to send."""
        fresh = []
        while (text := self.connection.next_frame()) is not None:
            frame = json.loads(text)
            check_server_frame(frame)
            fresh.append(frame)
            self._last_seq = frame.get("seq", self._last_seq)
            self.token = frame["data"].get("resume_token", self.token)
        self.frames += fresh
        return fresh

    def take(self, kind: str) -> list[dict[str, Any]]:
        """Data of the frames of that type so far."""
        self.pump()
        return [frame["data"] for frame in self.frames if frame["type"] == kind]

    def clear(self) -> None:
        self.pump()
        self.frames = []

    def lose(self) -> None:
        """The socket breaks."""
        self.connection.lost(self.scene.now)


class Scene:
    """Everything a signaling test needs."""

    def __init__(
        self, config: SignalingConfig | None = None, *, sfu: SfuConfig | None = None
    ) -> None:
        self.steady_s = 1000.0
        self.key = MintingKey("test", b"k" * 32)
        self.demo_key = MintingKey.demo()
        self.engine = FakeEngine()
        self.config = config or SignalingConfig()
        verifier = TokenVerifier(
            [self.key.verification(), self.demo_key.verification()],
            max_ttl_s=self.config.auth.max_ttl_s,
            clock_skew_s=self.config.auth.clock_skew_s,
        )
        self._ids = itertools.count(1)
        self.hub = Hub(
            self.config,
            verifier,
            lambda listener: Sfu(
                sfu or SfuConfig(),
                # Its parameter classes are its own, so it fits by form only.
                [cast("EngineLike", self.engine)],
                FINGERPRINT,
                listener,
                clock=lambda: self.steady_s,
            ),
        )

    @property
    def now(self) -> Instant:
        return Instant(self.steady_s, UNIX_S + self.steady_s - 1000.0)

    def next_id(self) -> str:
        return f"r-{next(self._ids)}"

    def check_sent(self, message: dict[str, Any]) -> None:
        """What tests send wrong on purpose goes through ``End.send``."""
        assert client_validator().is_valid(message), message

    def token(
        self,
        participant_id: str = "rm-1",
        role: Role = Role.RM,
        *,
        room: str = "sale-1",
        name: str = "",
        ttl_s: float = 3600.0,
        key: MintingKey | None = None,
        publish: Iterable[Source] | None = None,
        subscribe: Iterable[Role] | None = None,
    ) -> str:
        return mint_token(
            key or self.key,
            room=room,
            participant_id=participant_id,
            role=role,
            name=name,
            now_unix_s=self.now.unix_s,
            ttl_s=ttl_s,
            publish=publish,
            subscribe=subscribe,
        )

    def connect(self, *, local: bool = False) -> End:
        return End(self, local=local)

    def join(self, participant_id: str = "rm-1", role: Role = Role.RM, **token: Any) -> End:
        """A participant that has joined."""
        end = self.connect()
        reply = end.ask("join", token=self.token(participant_id, role, **token))
        assert reply["type"] == "joined", reply
        return end

    def resume(self, before: End, *, last_seq: int | None, token: str | None = None) -> End:
        """A new socket for the participant of ``before``; its reply is the first frame."""
        end = self.connect()
        end.post("resume", resume_token=token or resume_token(before), last_seq=last_seq)
        end.pump()
        return end

    def publish(self, end: End, *sources: Source, receive: Iterable[str] = ()) -> dict[str, str]:
        """Offers the sources and receiving lines; returns track ids by source."""
        lines = [(source.kind.value, "sendonly") for source in sources]
        lines += [(kind, "recvonly") for kind in receive]
        tracks = [{"mid": str(i), "source": s.value} for i, s in enumerate(sources)]
        reply = end.ask("offer", sdp=offer_sdp(lines), tracks=tracks)
        assert reply["type"] == "answer", reply
        by_mid = {item["mid"]: item["track_id"] for item in reply["data"]["published"]}
        return {source.value: by_mid[str(i)] for i, source in enumerate(sources)}

    def media(self, transport: int, state: str, reason: str = "none") -> None:
        """The engine reports a transport's state."""
        self.emit(Event.TransportStateChanged(transport, state, reason))

    def emit(self, event: object) -> None:
        """The engine reports something."""
        self.engine.emit(event)
        self.hub.sfu.handle_events(cast("EngineLike", self.engine))

    def transports(self) -> list[int]:
        """Transports made so far, oldest first."""
        made = [args for name, args in self.engine.commands if name == "create_transport"]
        return [args["transport"] for args in made]

    def run(self, seconds: float) -> None:
        """Lets time pass, with every deadline on time."""
        end_s = self.steady_s + seconds
        while (at_s := self.hub.next_timeout) is not None and at_s <= end_s:
            self.steady_s = max(self.steady_s, at_s)
            self.hub.handle_timeout(self.now)
        self.steady_s = end_s


def resume_token(end: End) -> str:
    """The newest token the client has."""
    end.pump()
    return end.token
