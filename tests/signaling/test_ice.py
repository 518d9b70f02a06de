"""What clients are told of STUN and TURN servers."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sfu import Role
from signaling.config import IceConfig, SignalingConfig
from signaling.errors import KeyMaterialError
from signaling.ice import IceServers, turn_credentials
from tests.signaling.scene import UNIX_S, Scene

SECRET = "shared with the turn server"
URL = "turn:192.0.2.1:443?transport=tcp"


def test_credentials_are_those_coturn_expects() -> None:
    username, password = turn_credentials("north", "abc", 1_800_000_000)
    assert username == "1800000000:abc"
    expected = hmac.new(b"north", b"1800000000:abc", hashlib.sha1).digest()
    assert base64.b64decode(password) == expected


def test_each_participant_gets_credentials_of_its_own_that_expire() -> None:
    ice = IceConfig.model_validate(
        {
            "stun_urls": ["stun:192.0.2.1"],
            "turn_urls": [URL],
            "turn_secret": SECRET,
            "credential_s": 3_600,
        }
    )
    scene = Scene(SignalingConfig(ice=ice))
    found = [_ice_servers(scene, name) for name in ("rm-1", "rm-2")]
    for stun, turn in found:
        assert stun == {"urls": ["stun:192.0.2.1"]}
        assert turn["urls"] == [URL]
        expires, _, name = turn["username"].partition(":")
        assert UNIX_S + 3_600 <= int(expires) <= UNIX_S + 3_700
        assert turn_credentials(SECRET, name, int(expires))[1] == turn["credential"]
    assert found[0][1]["username"] != found[1][1]["username"]
    assert _ice_servers(Scene(), "rm-1") == []


def _ice_servers(scene: Scene, name: str) -> list[dict[str, Any]]:
    reply = scene.connect().ask("join", token=scene.token(name, Role.RM))
    assert reply["type"] == "joined"
    servers: list[dict[str, Any]] = reply["data"]["ice_servers"]
    return servers


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    config = IceConfig(turn_urls=(URL,), turn_secret_file=path)
    with pytest.raises(KeyMaterialError, match="can't be read"):
        IceServers(config)
    path.write_text("short\n")
    with pytest.raises(KeyMaterialError, match="at least 16 characters"):
        IceServers(config)
    path.write_text(f"{SECRET}\nmore\n")
    (entry,) = IceServers(config, make_name=lambda: "me").issue(1_000.5)
    assert (entry["username"], entry["credential"]) == turn_credentials(SECRET, "me", 87_400)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"turn_urls": ["turn:host"]}, "exactly one of turn_secret"),
        ({"turn_secret": SECRET}, "exactly one of turn_secret"),
        (
            {"turn_urls": ["turn:host"], "turn_secret": SECRET, "turn_secret_file": "x"},
            "exactly one of turn_secret",
        ),
        ({"turn_urls": ["turn:host"], "turn_secret": "short"}, "at least 16"),
        ({"turn_urls": ["https://host"], "turn_secret": SECRET}, "is not like"),
        ({"turn_urls": ["turn:host?transport=tls"], "turn_secret": SECRET}, "is not like"),
        ({"turn_urls": ["turn:a b"], "turn_secret": SECRET}, "is not like"),
        ({"stun_urls": ["turn:host"]}, "is not like"),
    ],
)
def test_bad_settings_are_explained(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        IceConfig.model_validate(values)


@pytest.mark.parametrize(
    "url",
    ["turn:host", "turns:turn.example:443?transport=tcp", "turn:[2001:db8::1]:3478?transport=udp"],
)
def test_addresses_of_turn_servers(url: str) -> None:
    assert IceConfig(turn_urls=(url,), turn_secret_file=Path("x")).turn_urls == (url,)
