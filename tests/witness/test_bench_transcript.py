"""Delays of texts: how they are judged, and that a host's words arrive where they are timed."""

from pathlib import Path

import numpy as np
import pytest

from analytics.eval.speech_clips import Sentences
from analytics.host.tap import parse_message
from analytics.link import Said
from rtp.packet import parse_rtp
from witness.bench.transcript import Delay, Script, judged, record_of, script_of, transcript_text
from witness.errors import BenchError

SCRIPT = Script(np.zeros(16_000, np.float32), ((1.0, 3.0), (6.0, 8.0)))
SPEECH = Path(__file__).parents[1] / "data" / "speech"


def said(start_s: float, end_s: float, *, is_final: bool) -> Said:
    return Said(
        session_id="s", participant_id="p", track_id="t", detector="transcript",
        detector_version="1", start_us=int(start_s * 1e6), end_us=int(end_s * 1e6), text="您好",
        is_final=is_final,
    )  # fmt: skip


def test_delays_count_from_the_sound_a_text_is_about() -> None:
    told = [
        (1.9, said(1.0, 1.5, is_final=False)),
        (2.8, said(1.0, 2.0, is_final=False)),
        (4.5, said(1.1, 2.9, is_final=True)),
        (9.0, said(6.0, 7.9, is_final=True)),
    ]
    result = judged(SCRIPT, told, (0.5, 1.0))
    assert (result.sentences, result.heard) == (2, 2)
    assert result.partial == Delay(0.6, 0.78, 0.8, 2)
    assert result.final == Delay(1.25, 1.475, 1.5, 2)
    assert result.first == Delay(1.95, 2.895, 3.0, 2)
    assert result.to_json()["load"] == (0.5, 1.0)


def test_a_sentence_in_two_pieces_is_there_with_the_last() -> None:
    told = [(3.0, said(1.0, 2.0, is_final=True)), (4.0, said(2.1, 3.0, is_final=True))]
    result = judged(SCRIPT, told, (0, 0))
    assert result.final == Delay(1.0, 1.0, 1.0, 1)
    assert result.heard == 1


def test_what_was_no_sentence_is_not_timed() -> None:
    result = judged(SCRIPT, [(5.5, said(4.2, 4.6, is_final=True))], (0, 0))
    assert (result.heard, result.final, result.first) == (0, None, None)
    assert transcript_text(result).count("\n") == 3


def test_script_knows_where_sentences_are_audible() -> None:
    script = script_of(Sentences.read(SPEECH), 2)
    assert len(script.sentences) == 2
    loud = np.abs(script.samples) > 0.01
    for start_s, end_s in script.sentences:
        assert loud[int(start_s * 16_000) : int(end_s * 16_000)].any()
        assert not loud[int((end_s + 0.2) * 16_000) : int((end_s + 1.9) * 16_000)].any()


def test_script_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sentences.json").write_text("{}")
    with pytest.raises(BenchError, match="lists no sentences"):
        script_of(Sentences.read(tmp_path), 2)


def test_packets_are_those_of_a_tap() -> None:
    (packet,) = parse_message(record_of(b"\x78opus", 70_000, 5))
    assert (packet.codec, packet.number, packet.at_us) == ("opus", 70_000, 5)
    rtp = parse_rtp(packet.data)
    assert (rtp.sequence, rtp.timestamp) == (70_000 & 0xFFFF, 70_000 * 960)
    assert rtp.payload == b"\x78opus"
