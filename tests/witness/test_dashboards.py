"""Rules and dashboards ask for metrics, labels and values that exist, and say what they mean."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from recorder.log_writer import LogWriter
from sfu import Room
from tests.fakes.analytics import FakeSink, FakeWay
from tests.witness.test_findings import CARD
from witness.alerts import AlertBoard, AlertCollector
from witness.analytics_metrics import AnalyticsCollector
from witness.analytics_service import AnalyticsService
from witness.finding_grades import FindingGrades
from witness.finding_metrics import FindingsCollector
from witness.findings import FindingsDesk, Outlets

CONFIGS = Path(__file__).parents[2] / "configs"
RULES = sorted((CONFIGS / "prometheus").glob("*.yaml"))
DASHBOARDS = sorted((CONFIGS / "grafana").glob("*.json"))
OPEN_LABELS = {"detector", "plugin", "kind"}
"""Their values are those of the detectors that run."""
TEMPLATE = re.compile(r"\{\{(.*?)\}\}")
FUNCTIONS = {"sum", "rate", "increase", "clamp_min", "max", "min"}
HUMAN = {"humanize", "humanizeDuration", "humanizePercentage"}


def rules() -> list[dict[str, Any]]:
    found = []
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            found += group["rules"]
    return found


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            yield path.name, panel


def expressions() -> list[str]:
    asked = [rule["expr"] for rule in rules()]
    return asked + [target["expr"] for _, panel in panels() for target in panel["targets"]]


Series = dict[str, dict[str, set[str]]]
"""Values of each label of each series."""


@pytest.fixture(scope="module")
def there() -> Series:
    desk = FindingsDesk(
        {"face_presence": CARD}, FindingGrades(), Outlets(), LogWriter(), lambda: 0.0
    )
    findings, alerts = FindingsCollector(desk), AlertCollector(AlertBoard())
    alerts.findings = findings.graded
    rooms: dict[str, Room] = {}
    way = FakeWay()
    way.dropped = {"redis_full": 0, "redis_down": 0}
    service = AnalyticsService(rooms, way, ["face_presence"], FakeSink())
    taps = [SimpleNamespace(waiting=0, dropped={"ring_full": 0, "stalled": 0, "no_reader": 0})]
    registry = CollectorRegistry()
    registry.register(findings)
    registry.register(alerts)
    registry.register(AnalyticsCollector(service, lambda: taps))
    found: Series = {}
    for family in registry.collect():
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def labels_of(expression: str, there: Series) -> set[str]:
    """Labels that what an expression gives has."""
    grouped = re.findall(r"\b(?:sum|max|min)(?: by \(([^)]*)\))?", expression)
    if grouped:
        return set(re.findall(r"\w+", " ".join(grouped)))
    (name,) = set(re.findall(r"witness_\w+", expression))
    return set(there[name])


@pytest.mark.parametrize("expression", expressions())
def test_every_series_is_there_with_its_labels_and_values(expression: str, there: Series) -> None:
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))))
    series = re.findall(r"(witness_\w+)(?:\{([^}]*)\})?", expression)
    assert series
    for name, selectors in series:
        assert name in there, f"{name} is no metric"
        assert grouped <= there[name].keys()
        asked = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selectors)
        assert len(asked) == len([one for one in selectors.split(",") if one])
        for label, operator, value in asked:
            known = there[name][label]
            wanted = value.split("|") if "~" in operator else [value]
            if label not in OPEN_LABELS or value == "unknown":
                assert set(wanted) <= known, f"{name} has no {label} {value}"


@pytest.mark.parametrize("expression", expressions())
def test_expressions_are_well_formed(expression: str) -> None:
    depth = 0
    for sign in expression:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    assert set(re.findall(r"\b([a-z_]+)\s*\(", expression)) - {"by"} <= FUNCTIONS
    # Totals only grow: they are asked for how fast, over a time that several scrapes fall into.
    for name in re.findall(r"witness_\w+_total", expression):
        asked = rf"(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[(\d+)m\]\)"
        (minutes,) = re.findall(asked, expression)
        assert int(minutes) >= 5


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rules_explain_themselves_in_both_languages(rule: Any, there: Series) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Witness[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["annotations"].keys() == {"summary", "summary_zh", "description"}
    assert re.search(r"[\u4e00-\u9fff]", rule["annotations"]["summary_zh"])
    for text in rule["annotations"].values():
        for asked in TEMPLATE.findall(text):
            value, *filters = [part.strip() for part in asked.split("|")]
            assert set(filters) <= HUMAN
            if value != "$value":
                label = value.removeprefix("$labels.")
                assert label in labels_of(rule["expr"], there), f"{value} is empty"


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_what_taps_and_detectors_cost_and_lose_is_shown_and_alerted(there: Series) -> None:
    shown = " ".join(target["expr"] for _, panel in panels() for target in panel["targets"])
    about = {name for name in there if not name.endswith("_created")}
    assert {name for name in about if name not in shown} == set()
    alerted = " ".join(rule["expr"] for rule in rules())
    for name in (
        "witness_analytics_host_up",
        "witness_tap_dropped_total",
        "witness_tap_tracks_shed",
        "witness_detector_seconds_total",
        "witness_detector_restarts_total",
        "witness_alerts_total",
    ):
        assert name in alerted


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_have_a_place_and_a_title_in_both_languages(path: Path, there: Series) -> None:
    board = json.loads(path.read_text("utf-8"))
    assert board["uid"] == f"witness-{path.stem}"
    taken: set[tuple[int, int]] = set()
    for number, panel in enumerate(board["panels"], 1):
        assert panel["id"] == number
        assert re.fullmatch(r"[ -~]+ · .*[\u4e00-\u9fff].*", panel["title"])
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            asked = set(TEMPLATE.findall(target["legendFormat"]))
            assert asked <= labels_of(target["expr"], there)
