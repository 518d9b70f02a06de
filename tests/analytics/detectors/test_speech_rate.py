from analytics.detector import Finding, Mark, Subject
from analytics.detectors.speech_rate import SpeechRate, SpeechRateConfig, syllables
from tests.fakes.speech import S, said

SUBJECT = Subject("s", roles={"rm": "rm", "customer": "customer"})


def findings(*spoken: tuple[str, float, float], who: str = "rm") -> list[Finding]:
    watch = SpeechRate(SpeechRateConfig()).watch(SUBJECT)
    found = [
        f for text, start, end in spoken for f in watch.process(said(text, start, end, who=who))
    ]
    return [one for one in [*found, *watch.flush(60 * S)] if isinstance(one, Finding)]


def test_haste_is_open_until_it_is_over() -> None:
    found = findings(("很" * 45, 0.0, 7.0), ("慢" * 20, 40.0, 50.0))
    assert [(one.is_open, one.values["per_minute"]) for one in found] == [(True, 386), (False, 386)]
    assert {one.start_us for one in found} == {0}


def test_ordinary_speech_is_not_fast() -> None:
    assert findings(("说" * 40, 0.0, 10.0), ("话" * 45, 11.0, 21.0)) == []


def test_a_few_quick_words_are_no_haste() -> None:
    assert findings(("快" * 20, 0.0, 2.0)) == []


def test_pauses_do_not_count() -> None:
    assert findings(("快" * 20, 0.0, 3.0), ("快" * 20, 20.0, 23.0)) != []


def test_customers_may_speak_as_they_like() -> None:
    assert findings(("很" * 45, 0.0, 7.0), who="customer") == []


def test_role_comes_with_whoever_joins() -> None:
    watch = SpeechRate(SpeechRateConfig()).watch(Subject("s"))
    watch.process(Mark("participant.joined", 0, "late", {"role": "expert"}))
    assert watch.process(said("很" * 45, 0.0, 7.0, who="late"))


def test_flush_ends_what_is_open() -> None:
    assert [one.is_open for one in findings(("很" * 45, 0.0, 7.0))] == [True, False]


def test_english_words_have_more_than_one_syllable() -> None:
    assert syllables("同意 OK") == 3.5
