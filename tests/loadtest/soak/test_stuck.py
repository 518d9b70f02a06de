from loadtest.soak.stuck import Expected, StuckDetector


def one(key: object, silent_s: float | None) -> Expected:
    return Expected(key=str(key), room=3, kind="video", silent_s=silent_s)


def test_who_never_got_a_packet_is_told_once_after_the_patience() -> None:
    detector = StuckDetector(10.0)
    told = [bool(detector.look(float(at), [one("a", None)])) for at in range(30)]
    assert told.index(True) == 11
    assert sum(told) == 1
    assert detector.found[0].room == 3


def test_silence_before_it_was_expected_does_not_count() -> None:
    detector = StuckDetector(10.0)
    for at in range(11):
        assert not detector.look(float(at), [one("a", 100.0 + at)])
    assert detector.look(11.0, [one("a", 111.0)])


def test_packets_and_excuses_begin_anew() -> None:
    detector = StuckDetector(10.0)
    detector.look(0.0, [one("a", None)])
    assert not detector.look(9.0, [])
    assert not detector.look(12.0, [one("a", None)])
    assert not detector.look(20.0, [one("a", 0.5)])
    detector.excuse_all()
    assert not detector.look(40.0, [one("a", 15.0)])
    assert detector.look(51.0, [one("a", 26.0)])
    assert not detector.look(52.0, [one("a", 0.1)])
    assert detector.look(70.0, [one("a", 12.0)]), "stuck a second time"


def test_longest_silence_is_that_of_those_who_waited() -> None:
    detector = StuckDetector(10.0)
    for at in range(5):
        detector.look(float(at), [one("a", 0.3), one("b", 50.0)])
    assert detector.longest_silence_s == 4.0
    assert detector.checked == 10
    assert detector.found == []
