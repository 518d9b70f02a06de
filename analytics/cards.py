"""Cards of detectors as JSON: what people have to know before they believe one.

``GET /v1/detectors`` answers with them, and ``witness detector card`` shows them.
"""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any, Final

from analytics.config import AnalyticsConfig
from analytics.costs import Costs, shipped_costs
from analytics.detector import (
    AudioNeed,
    Detector,
    DetectorConfig,
    FindingKind,
    Needs,
    Outcome,
    Text,
    VideoNeed,
)
from analytics.errors import (
    AnalyticsError,
    DetectorError,
    DetectorFailedError,
    ModelError,
    UnknownModelError,
)
from analytics.models import Models
from analytics.models.manifest import Manifest, the_manifest
from analytics.registry import BUILTIN, Registry

__all__ = ["all_cards", "card_of", "needs_of", "settings_of"]

_OUTCOMES: Final[Mapping[Outcome, Text]] = {
    Outcome.PASS: Text("符合要求", "as it should be"),
    Outcome.WARN: Text("需要有人查看", "somebody should look"),
    Outcome.FAIL: Text("不符合要求", "not as it should be"),
}


def all_cards(registry: Registry, config: AnalyticsConfig) -> dict[str, Any]:
    """Cards of all detectors, and what is wrong with those that can't be had.

    Reads model files to tell their digests: not for the event loop's thread.

    Returns:
        ``{"detectors": [card, …], "problems": [{"detector": name, "problem": sentence}, …]}``.
    """
    models = config.models()
    costs = config.measured_costs()
    cards: list[dict[str, Any]] = []
    problems = [
        {"detector": str(error.values.get("detector", "")), "problem": str(error)}
        for error in registry.clashes()
    ]
    for name in registry.names:
        try:
            detector = registry.find(name)
            settings = config.config(detector)
        except AnalyticsError as error:
            problems.append({"detector": name, "problem": str(error)})
            continue
        package = registry.origin(name).package
        is_named = name in config.detectors
        try:
            card = card_of(
                detector, settings, models, package=package, is_named=is_named, costs=costs
            )
        except Exception as error:  # noqa: BLE001 - one detector's fault is not the others'
            failed = DetectorError(
                "the detector {detector} of {package} has no card: {reason}",
                detector=name,
                package=package,
                reason=f"{type(error).__name__}: {error}",
            )
            problems.append({"detector": name, "problem": str(failed)})
            continue
        cards.append(card)
    return {"detectors": cards, "problems": problems}


def card_of(
    detector: type[Detector],
    config: DetectorConfig,
    models: Models,
    *,
    package: str,
    is_named: bool = True,
    manifest: Manifest | None = None,
    costs: Costs | None = None,
) -> dict[str, Any]:
    """The card of one detector with these settings.

    ``runs``: a host starts it; those of other packages only where the settings name them
    (``is_named``). ``lacks``: libraries that are not installed. Its cost is what the card itself
    says, else what ``costs`` has (``None``: those that were measured on the reference machine).
    """
    card = detector.card
    manifest = the_manifest() if manifest is None else manifest
    needs = needs_of(detector, config)
    costs = shipped_costs() if costs is None else costs
    cost = card.cpu_ms_per_minute
    measured = costs.cpu_ms_per_minute.get(detector.name) if cost is None else None
    return {
        "name": detector.name,
        "version": detector.version,
        "package": package,
        "enabled": config.enabled,
        "runs": config.enabled and (detector.name in BUILTIN or is_named),
        "lacks": [name for name in card.modules if find_spec(name) is None],
        "title": _text(card.title),
        "summary": _text(card.summary),
        "scope": card.scope.value,
        "permissions": sorted(permission.value for permission in card.permissions),
        "inputs": None if needs is None else _inputs(needs),
        "kinds": [_kind(kind) for kind in card.kinds],
        "outcomes": {outcome.value: _text(text) for outcome, text in _OUTCOMES.items()}
        | {Outcome.UNKNOWN.value: _text(card.unknown_when)},
        "settings": settings_of(config),
        "models": [_model(name, models, manifest) for name in card.models],
        "limits": _text(card.limits),
        "cpu_ms_per_minute": measured if cost is None else cost,
        "cost_measured_on": None if measured is None else costs.machine,
    }


def needs_of(detector: type[Detector], config: DetectorConfig) -> Needs | None:
    """What a detector with these settings needs, without loading its models.

    Returns:
        ``None`` where ``needs`` depends on more than ``config``.

    Raises:
        DetectorFailedError: it raised something, or wants what nobody can give.
    """
    bare: Any = detector.__new__(detector)
    try:
        bare.config = config
        needs: Needs = bare.needs
    except (AttributeError, DetectorError):
        return None
    except Exception as error:
        raise DetectorFailedError(
            "{detector} can't say what it needs: {reason}",
            detector=detector.name,
            reason=f"{type(error).__name__}: {error}",
        ) from error
    return needs


def settings_of(config: DetectorConfig) -> list[dict[str, Any]]:
    """Each setting: what it is for, what is allowed, its default and its value."""
    schema = type(config).model_json_schema()["properties"]
    values = config.model_dump(mode="json")
    told = []
    for name, info in schema.items():
        one = {"name": name, "description": info.get("description", "")}
        one |= {key: info[key] for key in _BOUNDS if key in info}
        kinds = [info, *info.get("anyOf", [])]
        one["type"] = next((kind["type"] for kind in kinds if "type" in kind), "object")
        told.append({**one, "default": info.get("default"), "value": values[name]})
    return told


_BOUNDS: Final = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "pattern")


def _text(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _kind(kind: FindingKind) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "title": _text(kind.title),
        "explanation": _text(kind.explanation),
        "severity": kind.severity.value,
    }


def _inputs(needs: Needs) -> dict[str, Any]:
    return {
        "video": _media(needs.video),
        "audio": _media(needs.audio),
        "words": needs.words,
        "marks": needs.marks,
        "findings": sorted(needs.findings),
        "roles": sorted(needs.roles),
        "id_photo": bool(needs.id_photo),
    }


def _media(need: VideoNeed | AudioNeed | None) -> dict[str, Any] | None:
    match need:
        case VideoNeed(rate_hz=rate_hz, height=height, sources=sources, burst=burst):
            told = {"rate_hz": rate_hz, "height": height, "sources": sorted(sources)}
            return told if burst is None else {**told, "burst": asdict(burst)}
        case AudioNeed(chunk_ms=chunk_ms, sources=sources):
            return {"chunk_ms": chunk_ms, "sources": sorted(sources)}
        case None:
            return None


def _model(name: str, models: Models, manifest: Manifest) -> dict[str, Any]:
    try:
        listed: dict[str, Any] = {
            "title": manifest.model(name).title.model_dump(),
            "licences": manifest.licences([name]),
        }
    except UnknownModelError:
        # Of a separate package: only that package knows more.
        listed = {"title": None, "licences": {}}
    try:
        digest = models.find(name).sha256
    except ModelError as error:
        return {"name": name, **listed, "sha256": None, "problem": str(error)}
    return {"name": name, **listed, "sha256": digest}
