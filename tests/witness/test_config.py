from pathlib import Path

import pytest

from witness.config import Settings, split_address
from witness.config_file import ConfigFile, parse_config
from witness.config_load import load_settings, merge_settings
from witness.config_reference import effective_yaml, reference_yaml
from witness.errors import ConfigError
from witness.tokens import load_token

ROOT = Path(__file__).parents[2]


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        merge_settings(parse_config(text.encode(), "w.yaml"), environ or {})
    return caught.value.problems


def test_environment_beats_file_beats_default() -> None:
    file = parse_config(b"server:\n  port: 1000\n  host: '::'\n", "w.yaml")
    settings = merge_settings(file, {"WITNESS_SERVER__PORT": "2000"})
    assert (settings.server.port, settings.server.host) == (2000, "::")
    assert settings.server.drain_s == Settings().server.drain_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "server:\n  prot: 80\n",
            "w.yaml:2:3: server.prot: there is no such key; did you mean server.port?",
        ),
        ("sever: {}\n", "w.yaml:1:1: sever: there is no such key; did you mean server?"),
        (
            "port: 80\n",
            "w.yaml:1:1: port: there is no such key; did you mean media.port?",
        ),
        ("xyzzy: 1\n", "w.yaml:1:1: xyzzy: there is no such key"),
        (
            "log:\n  level: info\nserver:\n  port: 99999\n",
            "w.yaml:4:3: server.port: must be 65535 or less (is 99999)",
        ),
        ("server:\n  port: http\n", "w.yaml:2:3: server.port: must be a whole number (is 'http')"),
        (
            "log: {format: xml}\n",
            "w.yaml:1:7: log.format: must be 'console' or 'json' (is 'xml')",
        ),
        ("log: 3\n", "w.yaml:1:1: log: must be a section with keys (is 3)"),
        (
            "media:\n  listen: []\n",
            "w.yaml:2:3: media.listen: must have at least 1 entries (is [])",
        ),
        (
            "server:\n  tls_cert: a.pem\n",
            "w.yaml:1:1: server: tls_cert and tls_key belong together: give both or neither",
        ),
        ("server:\n  port: 1\n  port: 2\n", "w.yaml:3:3: server.port stands here a second time"),
        ("- 1\n", "w.yaml:1:1: the file must hold sections, such as `server:`"),
        ("a: &x 1\nb: *x\n", "w.yaml:2:4: aliases are not supported"),
        ("? [a]\n: 1\n", "w.yaml:1:3: a key must be a plain word"),
    ],
)
def test_wrong_file_is_named_with_line_and_column(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_problems_are_named_at_once() -> None:
    assert len(problems("server:\n  prot: 1\nlgo: {}\n", {"WITNESS_MEDIA__PROT": "1"})) == 3
    assert len(problems("server:\n  port: x\n  drain_s: y\n")) == 2


def test_broken_yaml_is_named_with_its_place() -> None:
    (problem,) = problems("server:\n  port: [1\n")
    assert problem.startswith("w.yaml:3:1: ")


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"w\.yaml: not UTF-8"):
        parse_config(b"server: \xff", "w.yaml")


def test_deep_nesting_is_refused() -> None:
    (problem,) = problems("a: " * 0 + "".join(f"{' ' * i}k{i}:\n" for i in range(12)))
    assert "nested too deeply" in problem


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "WITNESS_SERVER__PROT",
            "1",
            "WITNESS_SERVER__PROT: there is no such setting; did you mean WITNESS_SERVER__PORT?",
        ),
        ("WITNESS_SERVER__PORT", "x", "WITNESS_SERVER__PORT: must be a whole number (is 'x')"),
        (
            "WITNESS_SIGNALING__AUTH",
            "x",
            "WITNESS_SIGNALING__AUTH: this is a section; a variable sets one key of it",
        ),
        (
            "WITNESS_SERVER__PORT__X",
            "1",
            "WITNESS_SERVER__PORT__X: server.port is a value, not a section",
        ),
    ],
)
def test_wrong_variable_is_named(name: str, value: str, expected: str) -> None:
    assert problems("", {name: value}) == [expected]


def test_other_variables_are_none_of_our_business() -> None:
    assert merge_settings(ConfigFile(), {"WITNESS_CONFIG": "x", "HOME": "/"}) == Settings()


@pytest.mark.parametrize("value", ["127.0.0.1,::1", "127.0.0.1, ::1", '["127.0.0.1", "::1"]'])
def test_list_in_a_variable(value: str) -> None:
    settings = merge_settings(ConfigFile(), {"WITNESS_MEDIA__LISTEN": value})
    assert settings.media.listen == ("127.0.0.1", "::1")


def test_text_in_a_variable_stays_text() -> None:
    settings = merge_settings(ConfigFile(), {"WITNESS_SERVER__HOST": "1"})
    assert settings.server.host == "1"


def test_empty_variable_unsets_an_optional_key() -> None:
    file = parse_config(b"server:\n  public_url: https://a.example\n", "w.yaml")
    settings = merge_settings(file, {"WITNESS_SERVER__PUBLIC_URL": ""})
    assert settings.server.public_url is None


@pytest.mark.parametrize(
    "text",
    [
        "server:\n  admin_token: 0123456789abcdef\n",
        "signaling:\n  auth:\n    keys:\n      - {kid: a, algorithm: HS256, secret: 0123456789}\n",
    ],
)
def test_secret_in_the_file_is_refused_and_not_repeated(text: str) -> None:
    (problem,) = problems(text)
    assert "a secret does not belong here" in problem
    assert "0123456789" not in problem


def test_secret_comes_from_variable_or_file(tmp_path: Path) -> None:
    by_variable = merge_settings(ConfigFile(), {"WITNESS_SERVER__ADMIN_TOKEN": "s" * 20})
    assert admin_token(by_variable) == "s" * 20
    path = tmp_path / "token"
    path.write_text("f" * 20 + "\nsecond line\n")
    by_file = merge_settings(ConfigFile(), {"WITNESS_SERVER__ADMIN_TOKEN_FILE": str(path)})
    assert admin_token(by_file) == "f" * 20


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file"), ("", "is empty"), ("short", "16 characters")]
)
def test_unusable_token_file_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"metrics\.token_file: .*{reason}"):
        load_token("metrics.token", None, path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9090", ("127.0.0.1", 9090)),
        ("[::1]:0", ("::1", 0)),
        ("metrics.internal:1", ("metrics.internal", 1)),
        ("9090", None),
        (":9090", None),
        ("::1:9090", None),
        ("127.0.0.1:", None),
        ("127.0.0.1:65536", None),
        ("127.0.0.1:-1", None),
        ("127.0.0.1:９", None),
    ],
)
def test_address_to_listen_on_is_taken_apart(text: str, address: tuple[str, int] | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="write"):
            split_address(text)
        assert "metrics.listen" in problems(f"metrics: {{listen: '{text}'}}")[0]
    else:
        assert split_address(text) == address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_demo_key_is_good_on_loopback(host: str) -> None:
    variables = {"WITNESS_SERVER__HOST": host, "WITNESS_SIGNALING__AUTH__DEMO_KEY": "true"}
    assert merge_settings(ConfigFile(), variables).signaling.auth.demo_key


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("WITNESS_SERVER__HOST", "0.0.0.0", "server.host"),
        ("WITNESS_SERVER__HOST", "::", "server.host"),
        ("WITNESS_SERVER__HOST", "192.0.2.1", "server.host"),
        ("WITNESS_SERVER__HOST", "witness.example", "server.host"),
        ("WITNESS_SERVER__PUBLIC_URL", "https://a.example", "server.public_url"),
        (
            "WITNESS_SIGNALING__WEB__TRUSTED_PROXIES",
            "127.0.0.1/32",
            "signaling.web.trusted_proxies",
        ),
    ],
)
def test_demo_key_is_refused_where_others_may_come(variable: str, value: str, key: str) -> None:
    variables = {variable: value, "WITNESS_SIGNALING__AUTH__DEMO_KEY": "true"}
    with pytest.raises(ConfigError) as caught:
        merge_settings(ConfigFile(), variables)
    (problem,) = caught.value.problems
    assert problem.startswith("signaling.auth.demo_key")
    assert problem.endswith(f"leave out {key}")


def admin_token(settings: Settings) -> str | None:
    """The token as the server loads it."""
    server = settings.server
    return load_token("server.admin_token", server.admin_token, server.admin_token_file)


def test_short_secret_is_refused_without_showing_it() -> None:
    assert problems("", {"WITNESS_SERVER__ADMIN_TOKEN": "geheim"}) == [
        "WITNESS_SERVER__ADMIN_TOKEN: must have at least 16 characters"
    ]


def test_secrets_are_hidden_when_settings_are_shown() -> None:
    settings = merge_settings(ConfigFile(), {"WITNESS_SERVER__ADMIN_TOKEN": "s" * 20})
    assert "ssss" not in effective_yaml(settings)
    assert "ssss" not in repr(settings)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file or directory"):
        load_settings(tmp_path / "none.yaml", {})


def test_port_range_beyond_the_last_port_is_refused() -> None:
    (problem,) = problems("media:\n  port: 65535\n  engines: 2\n")
    assert problem == "w.yaml:1:1: media: port plus the number of engines goes beyond 65535"


def test_reference_file_is_up_to_date() -> None:
    path = ROOT / "configs" / "witness.yaml"
    assert path.read_text(encoding="utf-8") == reference_yaml(), (
        "run: witness config reference > configs/witness.yaml"
    )


def test_reference_file_loads_as_the_defaults() -> None:
    assert merge_settings(parse_config(reference_yaml().encode(), "ref"), {}) == Settings()


def test_reference_explains_every_key_and_stays_in_width() -> None:
    lines = reference_yaml().splitlines()
    assert max(map(len, lines)) <= 100
    for line, before in zip(lines[1:], lines, strict=False):
        if ":" in line and not line.lstrip().startswith("#"):
            assert before.lstrip().startswith("#"), line


@pytest.mark.parametrize("text", ["server:\n  prot: 1\n", "server:\n  port: x\n", "a: &x 1\nb: *x"])
def test_problems_speak_chinese(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    (problem,) = problems(text)
    assert any("\u4e00" <= c <= "\u9fff" for c in problem)
