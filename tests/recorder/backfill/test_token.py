"""Tokens for uploads."""

from pathlib import Path

import pytest

from recorder.backfill.token import Bearer, TokenError, TokenExpiredError, UploadTokens


def test_a_token_stands_for_one_participant_also_after_a_restart(tmp_path: Path) -> None:
    token = UploadTokens.at(tmp_path / "new").issue("s-1", "李.1", 100)
    again = UploadTokens.at(tmp_path / "new")
    assert again.check(token, 99.9) == Bearer("s-1", "李.1", 100)
    assert (tmp_path / "new" / "upload.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(TokenExpiredError):
        again.check(token, 100)


def test_every_changed_token_is_refused(tmp_path: Path) -> None:
    tokens = UploadTokens.at(tmp_path)
    token = tokens.issue("s-1", "p-1", 100)
    others = [
        UploadTokens(b"x" * 32).issue("s-1", "p-1", 100), "", ".", "a", "a.b", "ä.ö", "a" * 600,
        token + "x", token.partition(".")[0], token + "." + token,
    ]  # fmt: skip
    for index, letter in enumerate(token):
        changed = "A" if letter != "A" else "B"
        others.append(token[:index] + changed + token[index + 1 :])
    for other in others:
        try:
            found = tokens.check(other, 0)
        except TokenError:
            continue
        # The last letter of base64 has bits that mean nothing.
        assert found == Bearer("s-1", "p-1", 100)


def test_a_file_that_is_no_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "upload.key").write_bytes(b"short")
    with pytest.raises(TokenError, match="no key"):
        UploadTokens.at(tmp_path)
