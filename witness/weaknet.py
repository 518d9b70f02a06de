"""``witness loadtest weaknet``: runs, progress and output."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from loadtest.browser.bidi import BidiError
from loadtest.browser.programs import chromium_missing
from loadtest.browser.server import Server
from loadtest.errors import LoadtestError
from loadtest.netem.emulator import Emulator
from loadtest.netem.ways import why_not
from loadtest.weaknet.html import page
from loadtest.weaknet.result import KEYS, Result
from loadtest.weaknet.scene import Host, Measured, Place, Plan, Transport, measure_once
from sfu import _media
from sfu.model import Role
from signaling.auth import MintingKey, mint_token
from witness import table, weaknet_speech
from witness.bench.progress import Progress
from witness.errors import MeasureError
from witness.i18n import marked, t
from witness.output import Output

__all__ = ["EMULATOR", "host", "measure", "run", "write_key"]

EMULATOR = Emulator(config=_media.NetemConfig, netem=_media.Netem, path=_media.NetemPath)
_ROOM = "weaknet"
_PHASES = {
    "start": marked("starting a server and two browsers"),
    "join": marked("joining"),
    "adapt": marked("media flows, time to adapt"),
    "measure": marked("measuring"),
}
_NAMES = {
    "concealed_ratio": marked("audio concealed"),
    "interruptions_per_min": marked("interruptions ≥ 150 ms per minute"),
    "video_fps": marked("pictures per second"),
    "freeze_ratio": marked("picture frozen"),
    "audio_kbps": marked("audio on the link"),
    "video_kbps": marked("video on the link"),
    "mouth_to_ear_ms": marked("audio delay, mouth to ear"),
    "join_s": marked("from joining to media"),
}


def run(name: str, plan: Plan, runs: int, output: Output, text: str = "") -> int:
    """Measures and prints.

    Args:
        name: of the profile.
        plan: what is measured.
        runs: measurements.
        output: where to.
        text: what the plan's own speech says.

    Raises:
        MeasureError: it could not be measured; the text says why.
    """
    # What can't be recognised is told before minutes are spent.
    transcript = weaknet_speech.recogniser() if plan.speech is not None else None
    result = measure(name, plan, runs, Progress())
    compared = [
        {
            way: weaknet_speech.compare(transcript, sounds, text)
            for way, sounds in one.sounds.items()
        }
        for one in result.runs
        if transcript is not None
    ]
    speech = [{way: one.as_json() for way, one in both.items()} for both in compared]
    output.write(
        page=lambda: page([result]),
        data=lambda: {**result.as_json(), **({"speech": speech} if speech else {})},
        text=lambda: "\n".join([_table(result), *(_recognised(one) for one in compared)]),
    )
    if result.busy:
        text = t("the machine was too busy: pages could not run for a while; measure again")
        sys.stderr.write(f"witness: {t('warning: {text}').format(text=text)}\n")
    return 0


def measure(name: str, plan: Plan, runs: int, progress: Progress) -> Result:
    """Measures some runs, one after the other.

    Raises:
        MeasureError: it could not be measured; the text says why.
    """
    tcp = plan.transport is Transport.ANY
    missing = chromium_missing() or why_not(plan.way, plan.profile, plan.traffic, tcp=tcp)
    if missing is not None:
        raise MeasureError(t("can't measure here: {reason}").format(reason=missing))
    measured: list[Measured] = []
    try:
        for number in range(1, runs + 1):
            text = t("run {number} of {count}: {profile}, {direction}")
            said = text.format(
                number=number, count=runs, profile=name, direction=plan.direction.value
            )
            progress.say(said)
            measured.append(
                asyncio.run(
                    measure_once(
                        plan, host(), EMULATOR, lambda what: progress.say(t(_PHASES[what]))
                    )
                )
            )
    except (LoadtestError, BidiError, TimeoutError, RuntimeError) as error:
        text = t("the measurement failed: {reason}")
        raise MeasureError(text.format(reason=error)) from error
    return Result(name, plan, measured)


def host() -> Host:
    """A server with a key made for it."""
    key = MintingKey("measure", secrets.token_hex(32).encode())

    def start(place: Place) -> Server:
        config = write_key(place.folder, key)
        settings = {
            "WITNESS_CONFIG": str(config),
            "WITNESS_SERVER__HOST": place.address,
            "WITNESS_SERVER__PORT": str(place.port),
            "WITNESS_SIGNALING__AUTH__DEMO_KEY": "false",
            "WITNESS_MEDIA__LISTEN": json.dumps([place.address]),
            "WITNESS_MEDIA__TCP": json.dumps(place.tcp),
        }
        if place.media_port:
            settings["WITNESS_MEDIA__PORT"] = str(place.media_port)
            settings["WITNESS_MEDIA__ENGINES"] = "1"
        return Server.start(settings=settings, command=place.command)

    def token(role: str) -> str:
        return mint_token(
            key, room=_ROOM, participant_id=role, role=Role(role), now_unix_s=time.time()
        )

    return Host(start, token)


def write_key(folder: Path, key: MintingKey) -> Path:
    """Writes a configuration whose one key this is; returns where."""
    (folder / "secret").write_bytes(key.secret)
    (folder / "secret").chmod(0o600)
    config = folder / "witness.yaml"
    config.write_text(
        "signaling:\n  auth:\n    keys:\n"
        f"      - {{kid: {key.kid}, algorithm: HS256, secret_file: secret}}\n"
    )
    return config


def _table(result: Result) -> str:
    down, up = result.worst("down"), result.worst("up")

    def head(name: str, impaired: object) -> str:
        return name if impaired else t("{name} (not impaired)").format(name=name)

    rows = [["", head(t("down"), down["impaired"]), head(t("up"), up["impaired"])]]
    rows += [[t(_NAMES[key]), _shown(key, down[key]), _shown(key, up[key])] for key in KEYS]
    shares = [f"{name} {share * 100:.0f} %" for name, share in result.carriers.items()]
    carried = t("media went over {transports}")
    carried = carried.format(transports=", ".join(shares) or t("unknown"))
    return f"{table.render(rows, left={0})}\n{carried}"


def _recognised(compared: Mapping[str, weaknet_speech.Compared]) -> str:
    text = t("character error rate {way}: {said} as said, {heard} as heard, of {count} characters")
    return "\n".join(
        text.format(
            way=t(way),
            said=_shown("ratio", one.said),
            heard=_shown("ratio", one.heard),
            count=one.characters,
        )
        for way, one in compared.items()
    )


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return t("unknown")
    unit = key.rsplit("_", 1)[-1]
    match unit:
        case "ratio":
            return f"{value * 100:.2f} %"
        case "kbps":
            return f"{value:.0f} kb/s"
        case "ms":
            return f"{value:.0f} ms"
        case "s":
            return f"{value:.2f} s"
    return f"{value:.1f}"
