import re
from pathlib import Path

import pytest

from witness.cli import build_parser, main
from witness.commands import parse_ttl
from witness.errors import UsageError

COMMANDS = ["serve", "demo", "token", "cert", "config", "schema", "health", "version"]


def exit_code(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS), ["config", "check"]])
@pytest.mark.parametrize("lang", ["C.UTF-8", "zh_CN.UTF-8"])
def test_help_reads_in_both_languages(
    command: list[str],
    lang: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANG", lang)
    monkeypatch.setenv("COLUMNS", "100")
    assert exit_code(*command, "--help") == 0
    text = capsys.readouterr().out
    chinese = any("\u4e00" <= c <= "\u9fff" for c in text)
    assert chinese == lang.startswith("zh")
    if chinese:
        assert not re.search(r"usage:|options:|show this help", text)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve", "--prot"], "not understood: --prot"),
        (["token"], "missing: --room, --role"),
        (["token", "--room", "r", "--role", "boss"], "--role can't be 'boss'"),
        (["token", "--room", "r", "--role", "rm", "--ttl", "soon"], "--ttl soon is not a time"),
        (["token", "--room", "r", "--role", "rm"], "no such HS256 key"),
        (["cert", "--host", "a", "--days", "many"], "--days can't be 'many'"),
        (["cert", "--host"], "--host needs a value"),
        (["demo", "--port", "70000"], "--port must be 0 to 65535"),
        (["demo", "--seconds", "0"], "--seconds must be 1 to 86400"),
        (["config", "check", "/nonexistent.yaml"], "/nonexistent.yaml: No such file"),
        (["nope"], "can't be 'nope'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key_config: Path,
) -> None:
    if "soon" in arguments:
        monkeypatch.setenv("WITNESS_CONFIG", str(key_config))
    assert exit_code(*arguments) == 2
    output = capsys.readouterr()
    assert expected in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ""


@pytest.fixture
def key_config(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    path = tmp_path / "w.yaml"
    path.write_text(
        "signaling:\n  auth:\n    keys:\n"
        f"      - {{kid: bank, algorithm: HS256, secret_file: {tmp_path / 'secret'}}}\n"
    )
    return path


def test_token_is_accepted_by_the_configured_key(
    key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jwt

    arguments = ["token", "-c", str(key_config), "--room", "r1", "--role", "rm", "--name", "王芳"]
    assert exit_code(*arguments, "--ttl", "30m") == 0
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(
        token, "0123456789abcdef0123456789abcdef", algorithms=["HS256"], audience="witness"
    )
    assert (claims["room"], claims["role"], claims["name"]) == ("r1", "rm", "王芳")
    assert claims["exp"] - claims["iat"] == 1800
    assert jwt.get_unverified_header(token)["kid"] == "bank"


def test_token_can_be_printed_as_a_link(
    key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["token", "-c", str(key_config), "--room", "r1", "--role", "rm"]
    assert exit_code(*arguments, "--page", "https://192.0.2.1:8443/") == 0
    page, token = capsys.readouterr().out.strip().split("#token=")
    assert page == "https://192.0.2.1:8443/"
    assert token.count(".") == 2


def test_token_longer_than_the_server_accepts_is_refused(
    key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["token", "-c", str(key_config), "--room", "r1", "--role", "rm", "--ttl", "9d"]
    assert exit_code(*arguments) == 2
    assert "max_ttl_s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800)]
)
def test_validity_in_common_units(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "1w", "1.5h", "h", "1 h", "９s"])
def test_validity_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ttl(text)


def test_cert_prints_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    assert exit_code("cert", "--host", "lan.example", "--cert", str(cert), "--key", str(key)) == 0
    assert f"WITNESS_SERVER__TLS_CERT={cert}" in capsys.readouterr().out
    assert key.exists()


def test_config_from_the_variable_is_checked(
    key_config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code("config", "check", str(key_config)) == 0
    key_config.write_text("sever: {}\n")
    monkeypatch.setenv("WITNESS_CONFIG", str(key_config))
    assert exit_code("config", "show") == 2
    assert "did you mean server?" in capsys.readouterr().err


def test_every_option_is_explained() -> None:
    parsers = [build_parser()]
    while parsers:
        parser = parsers.pop()
        for action in parser._actions:
            assert action.help or action.choices, action
            if isinstance(action.choices, dict):
                parsers.extend(action.choices.values())
