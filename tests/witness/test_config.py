import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from witness.config import Settings, split_address
from witness.config_file import ConfigFile, parse_config
from witness.config_load import load_settings, merge_settings, understand
from witness.config_model import leaves
from witness.config_reference import effective_yaml, reference_yaml
from witness.errors import ConfigError
from witness.tokens import load_token

ROOT = Path(__file__).parents[2]


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    file = parse_config(text.encode(), "w.yaml") if text else ConfigFile()
    with pytest.raises(ConfigError) as caught:
        merge_settings(file, environ or {})
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
        (
            "analytics:\n  detectors:\n    transcript:\n      threads: 0\n",
            "w.yaml:4:7: analytics.detectors.transcript.threads: must be 1 or more",
        ),
        (
            "analytics:\n  detectors:\n    transcript: {threads: yes}\n",
            "w.yaml:3:18: analytics.detectors.transcript.threads: must be a number, not yes or no",
        ),
        (
            "analytics:\n  detectors:\n    transcript: 3\n",
            "w.yaml:3:5: analytics.detectors.transcript: must be a section with keys (is 3)",
        ),
        ("log: 3\n", "w.yaml:1:1: log: must be a section with keys (is 3)"),
        (
            "media:\n  listen: []\n",
            "w.yaml:2:3: media.listen: must have at least 1 entries (is [])",
        ),
        (
            "server:\n  tls_cert: a.pem\n",
            (
                "w.yaml:2:3: server.tls_cert: tls_cert and tls_key belong together: give both or"
                " neither"
            ),
        ),
        (
            "server:\n  port: 1\n  port: 2\n",
            (
                "w.yaml:3:3: server.port: stands here a second time, the first is in line 2; remove"
                " one"
            ),
        ),
        ("server:\n", "w.yaml:1:1: server: must be a section with keys (is empty)"),
        ("log:\n  pii:\n", "w.yaml:2:3: log.pii: must be true or false (is empty)"),
        (
            "server:\n  host: '[::]:80'\n",
            (
                "w.yaml:2:3: server.host: '[::]:80' is neither an IP address nor a host name; write"
                " 127.0.0.1, ::1 or a name, without port and brackets"
            ),
        ),
        (
            "media: {listen: ['127.0.0.1:5']}\n",
            (
                "w.yaml:1:18: media.listen.0: '127.0.0.1:5' is no IP address; write 192.0.2.1 or"
                " 2001:db8::1, without port and brackets"
            ),
        ),
        (
            "media: {listen: [127.0.0.1, 127.0.0.2]}\n",
            (
                "w.yaml:1:29: media.listen.1: '127.0.0.2' is the second IPv4 address; one of each"
                " family is possible"
            ),
        ),
        (
            "server:\n  tls_cert: ''\n  tls_key: ''\n",
            (
                "w.yaml:2:3: server.tls_cert: must be a path (is empty)\n"
                "w.yaml:3:3: server.tls_key: must be a path (is empty)"
            ),
        ),
        ("", "w.yaml: the file is empty; write at least one section, such as `server:`"),
        ("# all\n", "w.yaml: the file is empty; write at least one section, such as `server:`"),
        ("server:\n\tport: 1\n", "w.yaml:2:1: a tab; YAML is indented with spaces"),
        ("server:\n  port: 1\n\thost: a\n", "w.yaml:3:1: a tab; YAML is indented with spaces"),
        (
            "server:\n  port: 1\n host: a\n",
            "w.yaml:3:2: the indentation does not fit the lines above",
        ),
        ("server: {port: 1\n", "w.yaml:2:1: a comma or } is missing"),
        ("server: {host: @a}\n", "w.yaml:1:16: a value may not begin with '@'; put it in quotes"),
        ("server: {host: 'a}\n", "w.yaml:2:1: a quote is not closed"),
        (
            "server: {port: 1}\n---\nlog: {}\n",
            "w.yaml:2:1: the file must hold one document only; remove the `---` in the middle",
        ),
        ("a:\n  b: \x00\n", "w.yaml:2:6: a control character; remove it"),
        (
            "server: {port: !!int x}\n",
            "w.yaml:1:16: server.port: this is no value of the type !!int; write a plain one",
        ),
        ("a: " + "[" * 70_000, "w.yaml:1:67: nested too deeply"),
        ("- 1\n", "w.yaml:1:1: the file must hold sections, such as `server:`"),
        (
            "media: &x {}\nsfu: *x\n",
            "w.yaml:2:6: aliases (*name) are not supported; write the value again",
        ),
        (
            "a: &x 1\nb: *x\n",
            (
                "w.yaml:1:1: a: there is no such key\n"
                "w.yaml:2:4: aliases (*name) are not supported; write the value again"
            ),
        ),
        ("? [a]\n: 1\n", "w.yaml:1:3: a key must be a plain word"),
        (
            "server: {port: yes}\nsfu: {max_rooms: on}\n",
            (
                "w.yaml:1:10: server.port: must be a number, not yes or no\n"
                "w.yaml:2:7: sfu.max_rooms: must be a number, not yes or no"
            ),
        ),
    ],
)
def test_wrong_file_is_named_with_line_and_column(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        merge_settings(parse_config(text.encode(), "w.yaml"), {})
    assert caught.value.problems == expected.splitlines()


def test_detector_that_is_not_there_is_named_with_those_that_are() -> None:
    (line,) = problems("analytics:\n  detectors:\n    phones: {}\n")
    assert line.startswith(
        "w.yaml:3:5: analytics.detectors.phones: no detector is called phones; there are "
    )


def test_key_that_a_detector_has_not_is_named_with_those_it_has() -> None:
    lines = problems("analytics: {detectors: {transcript: {treads: 1, beam: 0}}}\n")
    assert lines[0].startswith(
        "w.yaml:1:38: analytics.detectors.transcript.treads: there is no such key; transcript has"
        " enabled, "
    )
    assert lines[1].endswith("transcript.beam: must be 1 or more")


def test_all_problems_are_named_at_once() -> None:
    assert len(problems("server:\n  prot: 1\nlgo: {}\n", {"WITNESS_MEDIA__PROT": "1"})) == 3
    assert len(problems("server:\n  port: x\n  drain_s: y\n")) == 2


def test_broken_yaml_is_named_with_its_place() -> None:
    (problem,) = problems("server:\n  port: [1\n")
    assert problem == "w.yaml:3:1: a comma or ] is missing"


def test_text_that_is_not_utf8_is_refused() -> None:
    (problem,) = parse_config(b"log: {}\nserver: \xff", "w.yaml").problems
    assert str(problem) == "w.yaml:2:9: not UTF-8; save the file in that encoding"


def test_deep_nesting_is_refused() -> None:
    text = "".join(f"{' ' * i}k{i}:\n" for i in range(12))
    assert any("nested too deeply" in problem for problem in problems(text))


def test_bomb_of_aliases_is_refused_without_being_built() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghijkl")]
    found = problems("\n".join(lines))
    assert sum("aliases" in problem for problem in found) == 99


def test_report_of_a_hopeless_file_ends() -> None:
    text = "".join(f"k{i}: 1\n" for i in range(1000))
    with pytest.raises(ConfigError) as caught:
        merge_settings(parse_config(text.encode(), "w.yaml"), {})
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (201, "and 800 more")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"#" * ((1 << 20) + 1)), "larger than 1 MiB"),
        (lambda path: path.symlink_to("/dev/zero"), "larger than 1 MiB"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    make: Callable[[Path], object], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.yaml"
    make(path)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: {expected}")


EVERYTHING_WRONG = """\
server:
  prot: 80
  port: 99999
  port: 3
  tls_cert: a.pem
  host: '[::]:80'
log: {format: xml, level: *x}
media:
  listen: [a, b, 1.2.3.4]
  port: 65535
  engines: 3
sfu: {video_codecs: [vp8, xx], advertised_addresses: [foo, 1.2.3.4:0]}
signaling:
  auth:
    keys:
      - {kid: a, algorithm: HS256, secret: 0123456789}
      - {kid: b, algorithm: HS257}
      - {kid: c, algorithm: HS256}
      - {kid: d, algorithm: HS256, secret_file: a, public_key_file: b, foo: 1}
      - {kid: e, algorithm: HS256, secret_file: a}
      - {kid: e, algorithm: HS256, secret_file: a}
      - 3
  web: {trusted_proxies: [x], heartbeat_s: 0}
"""


def test_everything_wrong_is_named_in_one_go_from_top_to_bottom() -> None:
    found = problems(EVERYTHING_WRONG, {"WITNESS_X__Y": "1", "WITNESS_LOG__PII": "x"})
    heads = [problem.partition(": ")[0] + " " + problem.split(": ")[1] for problem in found]
    assert heads == [
        "w.yaml:2:3 server.prot",
        "w.yaml:3:3 server.port",
        "w.yaml:4:3 server.port",
        "w.yaml:5:3 server.tls_cert",
        "w.yaml:6:3 server.host",
        "w.yaml:7:7 log.format",
        "w.yaml:7:27 aliases (*name) are not supported; write the value again",
        "w.yaml:9:12 media.listen.0",
        "w.yaml:9:15 media.listen.1",
        "w.yaml:10:3 media.port",
        "w.yaml:12:27 sfu.video_codecs.1",
        "w.yaml:12:55 sfu.advertised_addresses.0",
        "w.yaml:12:60 sfu.advertised_addresses.1",
        "w.yaml:16:36 signaling.auth.keys.0.secret",
        "w.yaml:17:18 signaling.auth.keys.1.algorithm",
        "w.yaml:18:9 signaling.auth.keys.2.secret_file",
        "w.yaml:19:36 signaling.auth.keys.3.secret_file",
        "w.yaml:19:72 signaling.auth.keys.3.foo",
        "w.yaml:21:10 signaling.auth.keys.5.kid",
        "w.yaml:22:9 signaling.auth.keys.6",
        "w.yaml:23:27 signaling.web.trusted_proxies.0",
        "w.yaml:23:31 signaling.web.heartbeat_s",
        "WITNESS_LOG__PII must be true or false (is 'x')",
        "WITNESS_X__Y there is no such setting",
    ]
    assert "0123456789" not in "".join(found)


def test_every_problem_of_every_kind_speaks_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    for problem in problems(EVERYTHING_WRONG, {"WITNESS_X__Y": "1", "WITNESS_LOG__PII": "x"}):
        assert re.search("[\u4e00-\u9fff]", problem), problem
        assert " or " not in problem


WRONG_VALUES = [
    "x" * 400,
    "",
    -1,
    10**30,
    1.5,
    float("nan"),
    True,
    None,
    [],
    [1, "x", None],
    {"a": 1},
]


@pytest.mark.parametrize("path", [".".join(leaf) for leaf in leaves()])
def test_no_wrong_value_is_answered_in_english(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    for value in WRONG_VALUES:
        nested: object = value
        for key in reversed(path.split(".")):
            nested = {key: nested}
        text = json.dumps(nested).replace("NaN", ".nan")
        for problem in understand(parse_config(text.encode(), "w.yaml"), {}).problems:
            assert re.search("[\u4e00-\u9fff]", problem.text), problem.text


def test_what_depends_on_a_wrong_value_is_not_complained_of() -> None:
    (problem,) = problems("server:\n  tls_cert: a.pem\n  tls_key: 3\n")
    assert problem.startswith("w.yaml:3:3: server.tls_key: must be a path")


def test_broken_file_does_not_make_variables_wrong() -> None:
    (problem,) = problems("server: [\n", {"WITNESS_SERVER__TLS_CERT": "a.pem"})
    assert problem.startswith("w.yaml:2:1")


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("tcp://10.0.0.1:80", 0)])
def test_variable_with_single_underscores_is_warned_of(value: str, count: int) -> None:
    found = understand(ConfigFile(), {"WITNESS_SERVER_PORT": value}).problems
    assert [str(problem) for problem in found] == [
        "warning: WITNESS_SERVER_PORT: has no effect; did you mean WITNESS_SERVER__PORT?"
    ] * count


def test_entry_in_a_variable_is_named() -> None:
    keys = "[{kid: a, algorithm: HS256, secret: " + "s" * 32 + ", foo: 1}]"
    assert problems("", {"WITNESS_SIGNALING__AUTH__KEYS": keys}) == [
        "WITNESS_SIGNALING__AUTH__KEYS: signaling.auth.keys.0.foo: there is no such key"
    ]


def test_paths_in_a_file_are_relative_to_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (folder / "w.yaml").write_text(
        "server: {tls_cert: tls/c.pem, tls_key: /abs/k.pem}\n"
        "signaling: {auth: {keys: [{kid: a, algorithm: HS256, secret_file: s}]}}\n"
    )
    environ = {"WITNESS_SERVER__ADMIN_TOKEN_FILE": "token"}
    settings = load_settings(Path("../etc/w.yaml"), environ)
    tls_cert, secret = settings.server.tls_cert, settings.signaling.auth.keys[0].secret_file
    assert tls_cert is not None
    assert tls_cert.is_absolute()
    assert tls_cert.resolve() == folder / "tls" / "c.pem"
    assert secret is not None
    assert secret.resolve() == folder / "s"
    assert settings.server.tls_key == Path("/abs/k.pem")
    assert settings.server.admin_token_file == elsewhere / "token"


def test_paths_of_a_list_in_a_variable_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = b"signaling: {auth: {keys: [{kid: a, algorithm: HS256, secret_file: s}]}}\n"
    environ = {"WITNESS_SIGNALING__AUTH__KEYS": "[{kid: b, algorithm: HS256, secret_file: t}]"}
    settings = merge_settings(parse_config(text, "w.yaml", Path("/etc/witness")), environ)
    assert settings.signaling.auth.keys[0].secret_file == tmp_path / "t"


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
    settings = merge_settings(ConfigFile(), {"WITNESS_SERVER__HOST": "true"})
    assert settings.server.host == "true"


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
    assert problem.startswith("WITNESS_SIGNALING__AUTH__DEMO_KEY: signaling.auth.demo_key")
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
    assert problem == (
        "w.yaml:2:3: media.port: port plus the number of engines (2) goes beyond 65535"
    )


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
    value_below: int | None = None
    for line, before in zip(lines[1:], lines, strict=False):
        indent = len(line) - len(line.lstrip())
        if value_below is not None and indent > value_below:
            continue
        value_below = None
        if ":" in line and not line.lstrip().startswith("#"):
            assert before.lstrip().startswith("#"), line
            # A setting, not a section: what is deeper is its value.
            value_below = indent if line.endswith(":") and "[WITNESS_" in before else None
