from collections.abc import Sequence

import pytest

from analytics.detector import (
    AudioChunk,
    Defers,
    Finding,
    Heard,
    Likely,
    Mark,
    Outcome,
    Output,
    Subject,
    Utterance,
)
from analytics.detectors.transcript import Transcript, TranscriptConfig, TranscriptWatch
from analytics.speech.pack import load_pack
from analytics.speech.recogniser import Recognised, RecogniserError
from analytics.speech.vad import WINDOW_US
from tests.fakes.speech import FakeRecogniser, FakeVoice, chunks

CHUNK_US = 3 * WINDOW_US


def detector(*texts: str | Recognised | RecogniserError, **settings: object) -> Transcript:
    config = TranscriptConfig.model_validate({"partial_results": False, **settings})
    return Transcript(config, FakeVoice(), FakeRecogniser(*texts))


def subject(track: str) -> Subject:
    return Subject("s", f"p-{track}", track, "rm")


def run(transcript: Transcript, feed: Sequence[AudioChunk], *, work: bool = True) -> list[Output]:
    """As a runner without threads does it; ends with a flush."""
    watches: dict[str, TranscriptWatch] = {}
    found: list[Output] = []
    for chunk in feed:
        watch = watches.setdefault(chunk.track_id, transcript.watch(subject(chunk.track_id)))
        found += watch.process(chunk)
        while work and (done := transcript.work()) is not None:
            found += done[1]
    for watch in watches.values():
        found += watch.flush(feed[-1].end_us)
    return found


def utterances(outputs: Sequence[Output]) -> list[Utterance]:
    return [one for one in outputs if isinstance(one, Utterance)]


def coverage(outputs: Sequence[Output]) -> list[tuple[float, float, bool]]:
    """Ranges in chunks, neighbours of one kind joined."""
    joined: list[tuple[float, float, bool]] = []
    for one in outputs:
        if isinstance(one, Heard):
            start, end = one.start_us / CHUNK_US, one.end_us / CHUNK_US
            if joined and joined[-1][1:] == (start, one.is_known):
                start = joined.pop()[0]
            joined.append((start, end, one.is_known))
    return joined


def causes(outputs: Sequence[Output]) -> list[object]:
    findings = [one for one in outputs if isinstance(one, Finding)]
    assert {one.outcome for one in findings} <= {Outcome.UNKNOWN}
    return [one.values["cause"] for one in findings]


def test_says_what_was_said_and_when() -> None:
    outputs = run(detector("您好"), chunks("....####.........."))
    (said,) = utterances(outputs)
    assert (said.text, said.participant_id, said.track_id) == ("您好", "p-t1", "t1")
    assert (said.start_us, said.end_us) == (4 * CHUNK_US, 8 * CHUNK_US)
    assert [word.text for word in said.words] == ["您", "好"]
    assert said.words[0].start_us == said.start_us
    assert said.words[-1].end_us == said.end_us
    assert said.is_final


def test_all_that_was_listened_to_is_told_in_order() -> None:
    outputs = run(detector("一", "二"), chunks("....####..........####.........."))
    assert coverage(outputs) == [(0, 32, True)]


def test_nothing_is_told_before_the_words_of_it() -> None:
    outputs = run(detector("一"), chunks("." * 20 + "####" + "." * 20))
    place = outputs.index(utterances(outputs)[0])
    before = [one.end_us for one in outputs[:place] if isinstance(one, Heard)]
    assert max(before) <= 20 * CHUNK_US


def test_partial_results_come_while_somebody_speaks() -> None:
    outputs = run(detector("全部", partial_results=True), chunks("#" * 30 + "." * 10))
    *partial, final = utterances(outputs)
    assert len(partial) in range(4, 6)
    assert not any(one.is_final for one in partial)
    assert final.is_final
    assert len({one.start_us for one in utterances(outputs)}) == 1


def test_late_partial_result_is_not_given() -> None:
    transcript = detector("全部", partial_results=True)
    watch = transcript.watch(subject("t1"))
    for chunk in chunks("#" * 12):
        watch.process(chunk)
    partial = transcript.queue.take()
    assert partial is not None
    for chunk in chunks("." * 10, at_us=12 * CHUNK_US):
        watch.process(chunk)
    while transcript.work() is not None:
        pass
    assert watch.recognise(partial.cut) == []


def test_missing_sound_ends_an_utterance_and_is_not_known() -> None:
    outputs = run(detector("一", "二"), chunks("######|||||######.........."))
    assert [one.text for one in utterances(outputs)] == ["一", "二"]
    assert coverage(outputs) == [(0, 6, True), (6, 11, False), (11, 27, True)]


def test_lost_packet_does_not_end_an_utterance() -> None:
    transcript = detector("一句")
    outputs = run(transcript, chunks("....####|####|###.........."))
    (said,) = utterances(outputs)
    assert (said.start_us, said.end_us) == (4 * CHUNK_US, 17 * CHUNK_US)
    assert coverage(outputs) == [(0, 27, True)]


def test_utterance_of_which_much_was_lost_is_unknown() -> None:
    outputs = run(detector(), chunks("....##|#|#|#|#|#|#|#|#|#|##......."))
    assert utterances(outputs) == []
    assert causes(outputs) == ["lost_packets"]
    assert (4, 27, False) in coverage(outputs)


def test_hole_in_the_times_is_missing_sound_too() -> None:
    feed = chunks("......") + chunks("......", at_us=20 * CHUNK_US)
    assert coverage(run(detector(), feed)) == [(0, 6, True), (6, 20, False), (20, 26, True)]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (RecogniserError("no memory"), "failed"),
        (Recognised("的的的的的的的的", 0.9, "zh", is_doubtful=True), "unclear"),
        (Recognised("", 0.9, "zh"), "unclear"),
    ],
)
def test_what_was_not_recognised_is_unknown(text: Recognised | RecogniserError, cause: str) -> None:
    outputs = run(detector(text), chunks("....############.........."))
    assert utterances(outputs) == []
    assert causes(outputs) == [cause]
    assert (4, 16, False) in coverage(outputs)


def test_short_noise_without_words_is_silence() -> None:
    outputs = run(detector(Recognised("", 0.3, "zh")), chunks("....###.........."))
    assert causes(outputs) == []
    assert coverage(outputs) == [(0, 17, True)]


def test_when_too_many_wait_the_oldest_is_unknown_for_whom_it_was() -> None:
    transcript = detector("三", "乙", max_waiting=2)
    one, other = transcript.watch(subject("t1")), transcript.watch(subject("t2"))
    found: list[Output] = []
    for chunk in chunks("####.......####.......####......."):
        found += one.process(chunk)
    for chunk in chunks("####.......", track="t2"):
        found += other.process(chunk)
    assert transcript.waiting == 2
    while (done := transcript.work()) is not None:
        found += done[1]
    assert causes(found) == ["overloaded", "overloaded"]
    assert [(u.track_id, u.text) for u in utterances(found)] == [("t1", "三"), ("t2", "乙")]
    assert coverage([h for h in found if isinstance(h, Heard) and h.track_id == "t1"])[:2] == [
        (0, 4, False),
        (4, 11, True),
    ]


def test_what_waits_at_the_end_is_unknown() -> None:
    outputs = run(detector(), chunks("....####..........####"), work=False)
    assert causes(outputs) == ["given_up", "given_up"]
    assert coverage(outputs) == [(0, 4, True), (4, 8, False), (8, 18, True), (18, 22, False)]


def test_nothing_is_recognised_after_a_withdrawal() -> None:
    recogniser = FakeRecogniser()
    config = TranscriptConfig(partial_results=False)
    transcript = Transcript(config, FakeVoice(), recogniser)
    watch, other = (transcript.watch(subject(track)) for track in ("t1", "t2"))
    for chunk in chunks("####..........####.........."):
        watch.process(chunk)
        other.process(chunk)
    taken = transcript.queue.take()
    assert taken is not None
    assert taken.owner is watch
    watch.discard()
    assert watch.recognise(taken.cut) == []
    assert recogniser.calls == []
    assert transcript.waiting == 2, "what somebody else said still waits"
    watch.discard()


def test_end_recognises_what_was_begun() -> None:
    outputs = run(detector("好"), chunks("....####"))
    assert [one.text for one in utterances(outputs)] == ["好"]
    assert coverage(outputs) == [(0, 8, True)]


def test_text_carries_no_control_characters() -> None:
    (said,) = utterances(run(detector("好\n的\x00\u2028了"), chunks("######..........")))
    assert said.text == "好 的  了"


def test_its_work_is_put_aside() -> None:
    assert isinstance(detector(), Defers)


ASKING = {"speaker": "customer", "lexicon": ["认购"], "window_s": 5, "retries": 0}


def test_weighs_likely_answers_while_one_is_waited_for() -> None:
    weighed = (Likely("同意", -1.0), Likely("不同意", -4.0))
    recogniser = FakeRecogniser("您好", Recognised("同意", 0.9, "zh", likely=weighed), "谢谢")
    config = TranscriptConfig(partial_results=False)
    transcript = Transcript(config, FakeVoice(), recogniser, load_pack(None))
    watch = transcript.watch(Subject("s", "p-t1", "t1", "customer"))
    feed = chunks("..####.........####.........####.........")
    marks = {
        8: Mark("node.started", 8 * CHUNK_US, data={"code": "n", "answer": ASKING}),
        22: Mark("node.ended", 22 * CHUNK_US),
    }
    found: list[Output] = []
    for index, chunk in enumerate(feed):
        if index in marks:
            watch.process(marks[index])
        found += watch.process(chunk)
        while (done := transcript.work()) is not None:
            found += done[1]
    found += watch.flush(feed[-1].end_us)
    assert [bool(texts) for texts in recogniser.likely] == [False, True, False]
    assert {"同意", "我同意", "不同意", "没同意"} <= set(recogniser.likely[1])
    assert [one.likely for one in utterances(found)] == [(), weighed, ()]


def test_nothing_is_weighed_where_that_is_switched_off() -> None:
    transcript = detector("您好")
    watch = transcript.watch(Subject("s", "p-t1", "t1", "customer"))
    watch.process(Mark("node.started", 0, data={"code": "n", "answer": ASKING}))
    for chunk in chunks("..####........."):
        watch.process(chunk)
    while transcript.work() is not None:
        pass
    recogniser = transcript.recogniser
    assert isinstance(recogniser, FakeRecogniser)
    assert recogniser.likely == [()]
