import math

import pytest

from loadtest.joins.html import page
from loadtest.joins.result import JoinResult
from loadtest.joins.scene import STAGES, JoinPlan, Try
from loadtest.netem.profile import Profile


def tried(seen_s: float | None, *, stalled_s: float = 0.0, carrier: str | None = "udp") -> Try:
    """A try that saw pictures then; the stages before took a fifth of it each."""
    reached = {
        stage: None if seen_s is None else seen_s * (number + 1) / len(STAGES)
        for number, stage in enumerate(STAGES)
    }
    return Try(reached, carrier, stalled_s)


def result(*tries: Try) -> JoinResult:
    return JoinResult("lift & stairs", JoinPlan(Profile(title="Lift & stairs")), tries)


def test_a_try_that_failed_counts_as_one_that_took_for_ever() -> None:
    made = result(tried(4.0), tried(None), tried(2.0), tried(12.0))
    assert made.times("seen") == [2.0, 4.0, 12.0, math.inf]
    assert made.quantile("seen", 0.5) == 4.0
    assert made.quantile("seen", 0.75) == 12.0
    assert made.quantile("seen", 0.9) is None
    shares = [made.share("seen", at) for at in (1.0, 2.0, 10.0, 15.0)]
    assert shares == [0, 0.25, 0.5, 0.75]
    assert made.share("socket", 1.0) == 0.5
    stage = made.as_json()["stages"]["seen"]
    assert (stage["median_s"], stage["p90_s"], stage["within_10_s"]) == (4.0, None, 0.5)


def test_what_carried_media_is_counted_where_any_flowed() -> None:
    made = result(tried(1.0, carrier="tcp"), tried(None, carrier=None), tried(2.0, carrier="tcp"))
    assert made.carriers == {"tcp": 2}


@pytest.mark.parametrize(("stalled_s", "is_busy"), [(0.1, False), (1.0, True)])
def test_pages_that_could_not_run_make_the_result_busy(stalled_s: float, is_busy: bool) -> None:
    assert result(tried(4.0, stalled_s=stalled_s), tried(4.0)).busy is is_busy


def test_the_page_draws_a_curve_for_every_stage_and_shows_who_never_came() -> None:
    made = page(result(tried(None, carrier=None), tried(None, carrier=None), tried(3.0)))
    assert made.count("<polyline") == len(STAGES)
    assert "Lift &amp; stairs" in made
    assert made.count("not in time") == len(STAGES)
