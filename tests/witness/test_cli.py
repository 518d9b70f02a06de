import os
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from signaling.auth import TokenVerifier, load_key
from signaling.staff import StaffRole, verify_staff
from witness.cli import build_parser, main
from witness.commands import parse_ttl
from witness.config_load import load_settings
from witness.errors import UsageError

COMMANDS = [
    "serve",
    "demo",
    "seal",
    "verify",
    "keys",
    "log",
    "token",
    "staff-token",
    "cert",
    "config",
    "schema",
    "health",
    "version",
]


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


WRONG_USAGE = [
        ([], "missing: COMMAND"),
        (["config"], "missing: COMMAND"),
        (["version", "x"], "not understood: x"),
        (["schema", "--pretty"], "not understood: --pretty"),
        (["config", "show", "w.yaml"], "not understood: w.yaml"),
        (["config", "reference", "-c", "x"], "not understood: -c x"),
        (["config", "check", "--json=1"], "--json takes no value ('1')"),
        (["health", "-c"], "-c/--config needs a value"),
        (["serve", "--config", "/nonexistent.yaml"], "/nonexistent.yaml: No such file"),
        (["health", "--config", "/"], "/: Is a directory"),
        (["demo", "--port", "http"], "--port can't be 'http'; it must be a whole number"),
        (["demo", "--seconds", "long"], "--seconds can't be 'long'; it must be a number"),
        (["demo", "--seconds", "nan"], "--seconds must be 1 to 86400"),
        (["demo", "--keep", "--port=-1"], "--port must be 0 to 65535"),
        (["cert"], "missing: --host"),
        (["cert", "--host", ""], "--host '' is neither a host name nor an IP address"),
        (["cert", "--host", "a b"], "--host 'a b' is neither"),
        (["cert", "--host", "x" * 64], "--host 'xxx"),
        (["cert", "--host", ".".join(["abcdefgh"] * 29)], "--host 'abc"),
        (["cert", "--host", "银行.example"], "--host '银行.example' is neither"),
        (["cert", "--host", "https://lan.example"], "--host 'https://lan.example' is neither"),
        (["cert", "--host", "192.0.2.1:8443"], "--host '192.0.2.1:8443' is neither"),
        (["cert", "--host", "[::1]"], "--host '[::1]' is neither"),
        (["cert", "--host", "192.0.2.300"], "--host '192.0.2.300' is neither"),
        (["cert", "--host", "*"], "--host '*' is neither"),
        (["cert", "--host", "a.*.example"], "--host 'a.*.example' is neither"),
        (["cert", "--host", "a", "--days", "0"], "--days must be 1 to 397"),
        (["cert", "--host", "a", "--key", "/nonexistent/k"], "can't write /nonexistent/k: No such"),
        (["token", "--room", "", "--role", "rm"], "--room '' can't be used; write 1 to 64 of"),
        (["staff-token", "--role", "crm", "--id", "a b"], "--id 'a b' can't be used"),
        (["staff-token", "--role", "rm", "--id", "a"], "--role can't be 'rm'; choose from"),
        (["staff-token", "--role", "auditor", "--id", "a", "--room", ".."], "--room '..' can't be"),
        (["staff-token", "--role", "auditor", "--id", "a", "--name", "a\nb"], r"--name 'a\nb'"),
        (["token", "--room", "a b", "--role", "rm"], "--room 'a b' can't be used"),
        (["token", "--room", "..", "--role", "rm"], "--room '..' can't be used: no address"),
        (["token", "--room", "r" * 65, "--role", "rm"], "--room 'rrr"),
        (["token", "--room", "r", "--role", ""], "--role can't be ''; choose from"),
        (["token", "--room", "r", "--role", "rm", "--id", ""], "--id '' can't be used"),
        (["token", "--room", "r", "--role", "rm", "--name", "a\nb"], r"--name 'a\nb' can't be"),
        (["token", "--room", "r", "--role", "rm", "--name", "x" * 65], "--name 'xxx"),
        *(
            (["token", "--room", "r", "--role", "rm", "--page", page], f"--page '{page}' is not")
            for page in (
                "", "nonsense", "lan.example:8443", "ftp://lan.example", "https://", "https:///x",
                "https://a b", "https://a:99999", "https://a:0", "https://a:x", "https://[::1",
                "https://u:p@a", "https://a/?room=1", "https://a/#x", "https://a/x y",
            )
        ),
        *(
            (["token", "--room", "r", "--role", "rm", "--ttl", ttl], f"--ttl {ttl} is not a time")
            for ttl in ("", "0", "-5", "1w", "1h30m", "9" * 12)
        ),
        (["serve", "--prot"], "not understood: --prot"),
        (["token"], "missing: --room, --role"),
        (["token", "--room", "r", "--role", "boss"], "--role can't be 'boss'"),
        (["token", "--room", "r", "--role", "rm", "--ttl", "soon"], "--ttl soon is not a time"),
        (["token", "--room", "r", "--role", "rm"], "has no HS256 key to sign with"),
        (["cert", "--host", "a", "--days", "many"], "--days can't be 'many'"),
        (["cert", "--host"], "--host needs a value"),
        (["demo", "--port", "70000"], "--port must be 0 to 65535"),
        (["demo", "--seconds", "0"], "--seconds must be 1 to 86400"),
        (["config", "check", "/nonexistent.yaml"], "/nonexistent.yaml: No such file"),
        (["nope"], "can't be 'nope'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), WRONG_USAGE)
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


@pytest.mark.parametrize("arguments", [arguments for arguments, _ in WRONG_USAGE])
def test_wrong_usage_is_explained_in_chinese_too(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert exit_code(*arguments) == 2
    text = capsys.readouterr().err.replace("银行", "")
    text = re.sub("；用 `.*` 查看说明", "", text)
    assert re.search("[\u4e00-\u9fff]", text), text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("host", ["lan.example", "*.lan.example", "my_service", "::1", "a" * 63])
def test_cert_takes_names_and_addresses(host: str, tmp_path: Path) -> None:
    files = ["--cert", str(tmp_path / "c.pem"), "--key", str(tmp_path / "k.pem")]
    assert exit_code("cert", "--host", host, *files) == 0


def test_cert_takes_the_longest_name(tmp_path: Path) -> None:
    files = ["--cert", str(tmp_path / "c.pem"), "--key", str(tmp_path / "k.pem")]
    assert exit_code("cert", "--host", ".".join(["abcdefgh"] * 28), *files) == 0


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("https://192.0.2.1:8443/", "https://192.0.2.1:8443/#"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443/#"),
        ("http://localhost", "http://localhost/#"),
        ("https://bank.example/call/", "https://bank.example/call/#"),
    ],
)
def test_link_leads_to_the_page(
    page: str, expected: str, key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["token", "-c", str(key_config), "--room", "r1", "--role", "rm"]
    assert exit_code(*arguments, "--page", page) == 0
    assert capsys.readouterr().out.startswith(expected)


def test_unknown_key_id_is_named_with_those_that_exist(
    key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["token", "-c", str(key_config), "--room", "r1", "--role", "rm", "--kid", "x"]
    assert exit_code(*arguments) == 2
    assert "--kid x: the configuration has no such HS256 key; there is bank" in (
        capsys.readouterr().err
    )


def test_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "witness", "config", "reference"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "LANG": "C.UTF-8"},
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr == "witness: can't write the output: No space left on device\n"


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS), ["config", "check"]])
def test_chinese_help_is_aligned_and_fits(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    assert exit_code(*command, "--help") == 0
    text = capsys.readouterr().out
    assert "\0" not in text
    body = text.partition("\n\n")[2]
    for line in body.splitlines():
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
        assert width <= 80, line


@pytest.fixture
def key_config(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    path = tmp_path / "w.yaml"
    path.write_text(
        "signaling:\n  auth:\n    keys:\n"
        "      - {kid: bank, algorithm: HS256, secret_file: secret}\n"
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


def test_staff_token_is_accepted_by_the_configured_key(
    key_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(key_config, {})
    keys = [load_key(key) for key in settings.signaling.auth.keys]
    verifier = TokenVerifier(keys, max_ttl_s=3_600, clock_skew_s=0)
    staff_token = ["staff-token", "-c", str(key_config), "--role", "reviewer", "--id", "b-17"]
    for more, sees in (([], True), (["--room", "r1", "--room", "r2"], False)):
        assert exit_code(*staff_token, *more, "--ttl", "30m", "--name", "王芳") == 0
        token = capsys.readouterr().out.strip()
        who = verify_staff(verifier, token, now_unix_s=time.time(), local=False)
        assert (who.subject, who.name, who.role) == ("b-17", "王芳", StaffRole.REVIEWER)
        assert (who.may_see("r1"), who.may_see("r3")) == (True, sees)
    assert exit_code(*staff_token, "--page", "https://192.0.2.1:8443/") == 0
    page, token = capsys.readouterr().out.strip().split("#token=")
    assert page == "https://192.0.2.1:8443/playback"
    assert token.count(".") == 2
    assert exit_code(*staff_token, "--ttl", "9d") == 2


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
