"""Rules and dashboards ask for metrics that exist, with labels that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from recorder.log_writer import LogWriter
from tests.witness.test_findings import CARD
from witness.alerts import AlertBoard, AlertCollector
from witness.finding_grades import FindingGrades
from witness.finding_metrics import FindingsCollector
from witness.findings import FindingsDesk, Outlets

CONFIGS = Path(__file__).parents[2] / "configs"
RULES = CONFIGS / "prometheus" / "findings.yaml"
DASHBOARD = CONFIGS / "grafana" / "findings.json"


def expressions() -> list[str]:
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.fixture(scope="module")
def there() -> dict[str, set[str]]:
    """Labels of each series that is there."""
    desk = FindingsDesk(
        {"face_presence": CARD}, FindingGrades(), Outlets(), LogWriter(), lambda: 0.0
    )
    findings, alerts = FindingsCollector(desk), AlertCollector(AlertBoard())
    alerts.findings = findings.graded
    registry = CollectorRegistry()
    registry.register(findings)
    registry.register(alerts)
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", expressions())
def test_every_series_is_there_with_its_labels(expression: str, there: dict[str, set[str]]) -> None:
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))))
    series = re.findall(r"(witness_\w+)(?:\{([^}]*)\})?", expression)
    assert series
    for name, selectors in series:
        assert name in there, f"{name} is no metric"
        assert set(re.findall(r"(\w+)\s*[=!]", selectors)) | grouped <= there[name]


def test_rules_explain_themselves_in_both_languages() -> None:
    rules: Any = yaml.safe_load(RULES.read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"summary", "summary_zh", "description"} <= rule["annotations"].keys()
