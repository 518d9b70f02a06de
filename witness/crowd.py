"""``witness loadtest swarm``: a server, light participants, progress and output."""

import asyncio
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from loadtest.browser.server import Server
from loadtest.crowd import Crowd, CrowdPlan, CrowdResult
from loadtest.errors import LoadtestError
from sfu._media import Swarm
from sfu.model import Role
from signaling.auth import MintingKey, mint_token
from witness import table
from witness.bench.progress import Progress
from witness.errors import MeasureError
from witness.i18n import marked, t
from witness.output import Output
from witness.weaknet import EMULATOR, write_key

__all__ = ["run"]

_PHASES = {
    "adapt": marked("media flows, time to adapt"),
    "measure": marked("measuring"),
}
_NAMES = {
    "path_loss_ratio": marked("lost on the path"),
    "audio_kbps": marked("audio on the link"),
    "video_kbps": marked("video on the link"),
}


def run(name: str, plan: CrowdPlan, output: Output) -> int:
    """Measures and prints.

    Raises:
        MeasureError: it could not be measured; the text says why.
    """
    progress = Progress()

    def say(phase: str, rooms: int) -> None:
        if phase == "join":
            progress.rooms(rooms, plan.rooms)
        else:
            progress.say(t(_PHASES[phase]))

    try:
        with tempfile.TemporaryDirectory(prefix="witness-swarm-") as folder:
            result = _measure(Path(folder), name, plan, say)
    except (LoadtestError, TimeoutError, RuntimeError) as error:
        text = t("the measurement failed: {reason}")
        raise MeasureError(text.format(reason=error)) from error
    output.write(page=lambda: "", data=result.as_json, text=lambda: _table(result))
    return 0


def _measure(
    folder: Path, name: str, plan: CrowdPlan, say: Callable[[str, int], None]
) -> CrowdResult:
    key = MintingKey("measure", secrets.token_hex(32).encode())

    def token(room: str, participant_id: str, role: str) -> str:
        return mint_token(
            key,
            room=room,
            participant_id=participant_id,
            role=Role(role),
            now_unix_s=time.time(),
        )

    settings = {
        "WITNESS_CONFIG": str(write_key(folder, key)),
        "WITNESS_SIGNALING__AUTH__DEMO_KEY": "false",
        "WITNESS_MEDIA__ENGINES": "1",
        "WITNESS_MEDIA__TCP": json.dumps(False),
    }
    with Server.start(settings=settings) as server:
        swarm = Swarm(sockets=4, sample=16)
        try:
            crowd = Crowd(plan, EMULATOR, swarm, server.url, token)
            return asyncio.run(crowd.measure(name, say))
        finally:
            swarm.close()


def _table(result: CrowdResult) -> str:
    rows = [["", t("down"), t("up")]]
    for key, name in _NAMES.items():
        values = [result.ways[way][key] for way in ("down", "up")]
        rows.append([t(name), *(_shown(key, value) for value in values)])
    media = result.media
    text = t(
        "{participants} participants joined in {join:.2f} s each; {missing} of the packets never"
        " came; {sent} were sent, {received} arrived"
    ).format(
        participants=result.participants,
        join=result.as_json()["join_s"]["median"],
        missing=_shown("missing_ratio", media["missing_ratio"]),
        sent=media["packets_sent"],
        received=media["packets_received"],
    )
    return f"{table.render(rows, left={0})}\n{text}"


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return t("unknown")
    return f"{value * 100:.1f} %" if key.endswith("_ratio") else f"{value:.0f} kb/s"
