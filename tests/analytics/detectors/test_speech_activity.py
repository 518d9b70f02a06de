from analytics.detector import Finding, Input, Mark, Outcome, Subject
from analytics.detectors.speech_activity import SpeechActivity, SpeechActivityConfig
from tests.fakes.speech import FakeVoice, S, chunks

SUBJECT = Subject("s", roles={"p-rm": "rm", "p-customer": "customer"})


def findings(*items: Input, flush_s: float = 0) -> list[Finding]:
    watch = SpeechActivity(SpeechActivityConfig(), FakeVoice()).watch(SUBJECT)
    ordered = sorted(items, key=lambda one: one.at_us if isinstance(one, Mark) else one.pts_us)
    found = [one for item in ordered for one in watch.process(item)]
    return [one for one in [*found, *watch.flush(int(flush_s * S))] if isinstance(one, Finding)]


def turns(found: list[Finding]) -> list[tuple[str, int, int]]:
    """Who spoke, from which chunk to which."""
    return [
        (one.participant_id, one.start_us // 96_000, one.end_us // 96_000)
        for one in found
        if one.kind == "speaking"
    ]


def test_turns_end_with_a_pause() -> None:
    found = findings(*chunks("..#####....#####" + "." * 12 + "######", track="rm"))
    assert turns(found) == [("p-rm", 2, 16), ("p-rm", 28, 34)]


def test_people_may_speak_at_the_same_time() -> None:
    found = findings(
        *chunks("########............", track="rm"),
        *chunks("....########........", track="customer"),
    )
    assert sorted(turns(found)) == [("p-customer", 4, 12), ("p-rm", 0, 8)]


def test_a_click_is_no_turn() -> None:
    assert turns(findings(*chunks("..#..............", track="rm"))) == []


def test_talk_is_shared_out_by_role() -> None:
    rm, customer = "#" * 60 + "." * 40, "." * 60 + "#" * 20 + "." * 20
    found = findings(*chunks(rm, track="rm"), *chunks(customer, track="customer"), flush_s=9.6)
    (share,) = [one for one in found if one.kind == "talk_share"]
    assert share.outcome is Outcome.PASS
    assert share.values == {"rm": 60, "customer": 20, "others": 0, "silence": 20, "unheard": 0}


def test_talk_is_shared_out_by_node() -> None:
    marks = [
        Mark("node.started", 0, data={"code": "a"}),
        Mark("node.started", 50 * 96_000, data={"code": "b"}),
    ]
    found = findings(*marks, *chunks("#" * 50 + "." * 50, track="rm"), flush_s=9.6)
    shares = [one for one in found if one.kind == "talk_share"]
    assert [(one.values["node"], one.values["rm"]) for one in shares] == [("a", 100), ("b", 0)]


def test_share_is_unknown_where_sound_is_missing() -> None:
    rm, customer = "#" * 100, "." * 50 + "|" * 50
    found = findings(*chunks(rm, track="rm"), *chunks(customer, track="customer"), flush_s=9.6)
    (share,) = [one for one in found if one.kind == "talk_share"]
    assert (share.outcome, share.values["unheard"]) == (Outcome.UNKNOWN, 50)


def test_nothing_heard_is_nothing_said() -> None:
    assert findings(Mark("node.started", 0, data={"code": "a"}), flush_s=9) == []
