"""The browsers that can be driven: what is installed, and how each is started."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Launch",
    "chromium_missing",
    "firefox_missing",
    "launch_chromium",
    "launch_firefox",
]

_CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-first-run",
    "--no-proxy-server",
    # Nothing but addresses: a new window would wait for a name server that isn't there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 10.77.*",
)

_FIREFOX_PREFERENCES: Mapping[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # OpenH264 would be downloaded.
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
}


def chromium_missing() -> str | None:
    """Why tests in Chromium can't run here; None if they can."""
    return _missing("chromium", "chromedriver")


def firefox_missing() -> str | None:
    """Why tests in Firefox can't run here; None if they can."""
    return _missing("firefox-esr")


def _missing(*programs: str) -> str | None:
    absent = [name for name in programs if shutil.which(name) is None]
    return f"not on this machine: {', '.join(absent)}" if absent else None


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a browser and where it then listens."""

    name: str
    command: Sequence[str]
    listens: re.Pattern[str]
    """Found in what the program prints; its group is a port."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)


def launch_chromium(
    folder: Path,
    *,
    flags: Sequence[str] = (),
    without: Sequence[str] = (),
    files: bool = True,
    large: bool = False,
    busy: bool = False,
) -> Launch:
    """Chromium by way of its driver.

    Args:
        folder: for its profile and devices.
        flags: more command-line flags.
        without: flags that are left out.
        files: camera and microphone are a clip and speech; else Chromium's own pattern and beeps.
        large: the camera shows 960 × 544 pixels.
        busy: the camera shows 1,280 × 720 pixels that are hard to encode.
    """
    given = [flag for flag in _CHROMIUM_FLAGS if flag not in without]
    if files:
        from loadtest.browser.fake_devices import (
            write_busy_clip,
            write_clip,
            write_large_clip,
            write_speech,
        )

        picture, sound = folder / "camera.y4m", folder / "microphone.wav"
        write = write_busy_clip if busy else write_large_clip if large else write_clip
        write(picture)
        write_speech(sound)
        given.append(f"--use-file-for-fake-video-capture={picture}")
        given.append(f"--use-file-for-fake-audio-capture={sound}")
    options = {
        "binary": shutil.which("chromium"),
        "args": [*given, f"--user-data-dir={folder / 'profile'}", *flags],
    }
    return Launch(
        "chromium",
        ["chromedriver", "--port=0"],
        re.compile(r"started successfully on port (\d+)"),
        {"goog:chromeOptions": options},
    )


def launch_firefox(folder: Path) -> Launch:
    """Firefox, which listens itself. Camera and microphone are its own pattern and tone."""
    profile = folder / "profile"
    profile.mkdir()
    lines = [f'user_pref("{k}", {json.dumps(v)});\n' for k, v in _FIREFOX_PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    listen = ["--remote-debugging-port", "0"]
    return Launch(
        "firefox",
        ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), *listen],
        re.compile(r"BiDi listening on ws://[^:]+:(\d+)"),
    )
