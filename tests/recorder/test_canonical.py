import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.canonical import MAX_INTEGER, canonical
from recorder.errors import CanonicalError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_as_the_same_value(value: object) -> None:
    assert json.loads(canonical(value)) == value


def test_keys_follow_utf16_as_the_specification_shows() -> None:
    # RFC 8785, section 3.2.3.
    keys = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7}
    order = list(json.loads(canonical(keys)))
    assert order == ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]


def test_text_is_escaped_as_the_specification_shows() -> None:
    # RFC 8785, section 3.2.2.2.
    assert canonical('€$\u000f\nA\'B"\\\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()


def deep(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        2**53,
        -(2**53),
        {1: 2},
        b"bytes",
        {"a"},
        "\ud800",
        {"\udfff": 1},
        deep(33),
    ],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical(value)
