"""What ``config show`` prints means the same when it is read again."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.config import AuthConfig, SignalingConfig, WebConfig
from witness import demo
from witness.cli import main
from witness.config import LogConfig, LogFormat, LogLevel, MediaConfig, ServerConfig, Settings
from witness.config_file import ConfigFile, parse_config
from witness.config_load import merge_settings
from witness.config_reference import effective_yaml, reference_yaml
from witness.demo_archive import DemoArchive

FULL = {
    "server": {
        "host": "::", "port": 8443, "public_url": "https://call.example", "drain_s": 0.5,
        "tls_cert": "c.pem", "tls_key": "/etc/k.pem", "admin_token_file": "token",
    },
    "log": {"format": "json", "level": "debug", "pii": True},
    "media": {"engines": 2, "listen": ["0.0.0.0", "::"], "port": 40000},
    "sfu": {"video_codecs": ["vp8"], "advertised_addresses": ["192.0.2.1", "2001:db8::1"]},
    "signaling": {
        "auth": {
            "keys": [
                {"kid": "a", "algorithm": "HS256", "secret_file": "secret"},
                {"kid": "b", "algorithm": "EdDSA", "public_key_file": "b.pem"},
            ],
        },
        "mute": {"rm": "force"},
        "web": {
            "allowed_origins": ["https://crm.example"],
            "trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"],
        },
    },
}  # fmt: skip


def again(shown: Settings) -> Settings:
    return merge_settings(parse_config(effective_yaml(shown).encode(), "shown"), {})


@pytest.mark.parametrize(
    "shown",
    [
        Settings(),
        demo._settings(0, DemoArchive(Path("/demo"))),
        merge_settings(ConfigFile(values=FULL), {}),
        merge_settings(parse_config(reference_yaml().encode(), "reference"), {}),
    ],
    ids=["defaults", "demo", "full", "reference"],
)
def test_what_is_shown_can_be_read_again(shown: Settings) -> None:
    assert again(shown) == shown


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
paths = st.one_of(st.none(), texts.map(lambda text: Path("/" + text)))


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    tls = draw(paths)
    return Settings(
        server=ServerConfig(
            port=draw(st.integers(0, 65_535)),
            drain_s=draw(st.floats(0, 86_400)),
            tls_cert=tls,
            tls_key=tls,
            admin_token_file=draw(paths),
        ),
        log=LogConfig(
            format=draw(st.sampled_from(LogFormat)),
            level=draw(st.sampled_from(LogLevel)),
            pii=draw(st.booleans()),
        ),
        media=MediaConfig(
            engines=1, listen=(str(draw(st.ip_addresses())),), port=draw(st.integers(0, 65_535))
        ),
        signaling=SignalingConfig(
            auth=AuthConfig.model_validate(
                {
                    "keys": [
                        {"kid": kid, "algorithm": "HS256", "secret_file": draw(paths) or Path("/x")}
                        for kid in draw(
                            st.sets(st.from_regex(r"[A-Za-z0-9_.-]{3}", fullmatch=True))
                        )
                    ]
                }
            ),
            web=WebConfig(
                trusted_proxies=tuple(
                    ip_network(draw(st.ip_addresses())) for _ in range(draw(st.integers(0, 3)))
                )
            ),
        ),
    )


@given(any_settings())
def test_any_settings_can_be_read_again(shown: Settings) -> None:
    assert again(shown) == shown


SECRET = "s3cr3t-" * 6


def test_secrets_become_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WITNESS_SERVER__ADMIN_TOKEN", SECRET)
    monkeypatch.setenv(
        "WITNESS_SIGNALING__AUTH__KEYS", f"[{{kid: a, algorithm: HS256, secret: {SECRET}}}]"
    )
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert SECRET not in shown
    assert "  # admin_token: hidden, from WITNESS_SERVER__ADMIN_TOKEN\n" in shown
    assert "    # - {kid: a, algorithm: HS256} secret: hidden, from WITNESS_SIGNALING" in shown
    path = tmp_path / "w.yaml"
    path.write_text(shown)
    assert main(["config", "check", str(path)]) == 0
    monkeypatch.delenv("WITNESS_SERVER__ADMIN_TOKEN")
    monkeypatch.delenv("WITNESS_SIGNALING__AUTH__KEYS")
    assert main(["config", "check", str(path)]) == 0


def test_relative_paths_are_shown_so_that_they_hold_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = Settings(server=ServerConfig(admin_token_file=Path("token")))
    assert f"admin_token_file: {tmp_path / 'token'}\n" in effective_yaml(shown)


@pytest.mark.parametrize(
    "url", ["redis://:pa55@h:6379/0", "rediss://me:pa55@h", "unix:///s?db=1&password=pa55"]
)
def test_password_in_the_url_of_redis_is_hidden(url: str) -> None:
    shown = effective_yaml(merge_settings(ConfigFile(values={"analytics": {"redis": url}}), {}))
    assert "pa55" not in shown
    assert "WITNESS_ANALYTICS__REDIS" in shown


def test_url_of_redis_without_a_password_is_shown() -> None:
    values = {"analytics": {"redis": "redis://me@h:6379/0"}}
    assert "redis: redis://me@h:6379/0" in effective_yaml(
        merge_settings(ConfigFile(values=values), {})
    )
