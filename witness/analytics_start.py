"""Makes the analytics service of a server, as its settings have it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analytics.config import AnalyticsConfig
from analytics.detector import Card
from analytics.errors import AnalyticsError
from analytics.host.config import HostConfig
from analytics.registry import the_registry
from analytics.streams import Streams
from sfu import Room
from witness.analytics_metrics import AnalyticsCollector, TapCounts
from witness.analytics_service import AnalyticsService, FindingSink
from witness.analytics_ways import EmbeddedWay, HostWay, RedisWay
from witness.config import LogConfig
from witness.errors import StartError
from witness.i18n import of_error

if TYPE_CHECKING:
    from sfu._media import Engine

__all__ = ["cards_of", "collector_of", "host_config", "make_analytics"]


def host_config(config: AnalyticsConfig) -> HostConfig | None:
    """What the host runs; ``None`` where calls are not watched.

    Raises:
        StartError: a detector that is named can't be had.
    """
    if not config.enabled:
        return None
    try:
        return config.host_config()
    except AnalyticsError as error:
        raise StartError(of_error(error)) from error


def cards_of(host: HostConfig | None) -> dict[str, Card]:
    """What is to be known of the detectors that run."""
    registry = the_registry()
    return {} if host is None else {name: registry.find(name).card for name in host.detectors}


def make_analytics(
    config: AnalyticsConfig,
    host: HostConfig,
    rooms: Mapping[str, Room],
    engines: "Sequence[Engine]",
    sink: FindingSink,
    log: LogConfig,
) -> AnalyticsService:
    """The service; not started. A host beside the server logs as it does.

    Raises:
        StartError: Redis can't be used.
    """
    way: HostWay
    if config.redis is None:
        way = EmbeddedWay(host, engines, log=log)
    else:
        try:
            way = RedisWay(Streams.connect(config.redis, config.node), engines)
        except AnalyticsError as error:
            raise StartError(of_error(error)) from error
    permissions = {name: card.permissions for name, card in cards_of(host).items()}
    return AnalyticsService(rooms, way, host.detectors, sink, permissions=permissions)


def collector_of(service: AnalyticsService, engines: "Sequence[Engine]") -> AnalyticsCollector:
    """Its metrics."""

    def taps() -> list[TapCounts]:
        return [engine.snapshot().tap for engine in engines]

    return AnalyticsCollector(service, taps)
