"""Alerts told to another system by HTTP: signed, tried again, never waited for."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Webhook", "WebhookCollector", "signature"]

_LOG = logging.getLogger(__name__)
_MAX_WAITING: Final = 1_000
"""Deliveries that may wait; beyond it the oldest are dropped, and counted: findings first."""

_TIMEOUT_S: Final = 10.0
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 300.0
_GIVEN_UP_S: Final = 86_400.0


def signature(secret: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over ``id.timestamp.body``, in hexadecimal."""
    return hmac.new(secret, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(slots=True)
class _Delivery:
    event_id: str
    body: bytes
    since_s: float
    is_finding: bool
    tries: int = 0


class Webhook:
    """Delivers in order, one at a time, at least once. Receivers tell repetitions by the id.

    Args:
        url: is posted to.
        secret: of the signature.
        post: sends; takes URL, body and headers, returns the HTTP status.
        sleep, now_s: the clock.

    Attributes:
        delivered, failed, dropped: totals; ``failed`` counts tries.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        *,
        post: Callable[[str, bytes, dict[str, str]], Any] | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._secret = secret
        self._post = post or _posted
        self._sleep = sleep
        self._now_s = now_s
        self._waiting: deque[_Delivery] = deque()
        self._task: asyncio.Task[None] | None = None
        self.delivered = self.failed = self.dropped = 0

    @property
    def waiting(self) -> int:
        """Deliveries not made yet."""
        return len(self._waiting)

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Has something delivered; returns at once."""
        self._waiting.append(self._delivery(kind, data))
        while len(self._waiting) > _MAX_WAITING:
            # Whatever detectors find, what goes wrong with a recording is told.
            findings = (at for at, one in enumerate(self._waiting) if one.is_finding)
            del self._waiting[next(findings, 0)]
            self.dropped += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.run())

    async def send_once(self, kind: str, data: dict[str, Any]) -> bool:
        """Tries once, for programs that end; says whether it arrived."""
        return await self._try(self._delivery(kind, data))

    def _delivery(self, kind: str, data: dict[str, Any]) -> _Delivery:
        event_id = secrets.token_hex(16)
        told = {"event_id": event_id, "type": kind, "version": 1, "data": data}
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        return _Delivery(event_id, body, self._now_s(), kind.startswith("finding."))

    async def close(self) -> None:
        """Ends; what was not delivered is lost, and counted."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.dropped += len(self._waiting)
        self._waiting.clear()

    async def run(self) -> None:
        """Delivers until nothing waits."""
        while self._waiting:
            delivery = self._waiting[0]
            if await self._try(delivery):
                self.delivered += 1
            elif self._now_s() - delivery.since_s < _GIVEN_UP_S:
                self.failed += 1
                await self._sleep(min(_LONGEST_S, _FIRST_S * 2.0**delivery.tries))
                delivery.tries += 1
                continue
            else:
                self.failed += 1
                self.dropped += 1
                _LOG.error("a webhook was given up", extra={"event_id": delivery.event_id})
            # It may have been dropped for newer ones meanwhile.
            if self._waiting and self._waiting[0] is delivery:
                self._waiting.popleft()

    async def _try(self, delivery: _Delivery) -> bool:
        timestamp = str(int(self._now_s()))
        headers = {
            "Content-Type": "application/json",
            "Witness-Id": delivery.event_id,
            "Witness-Timestamp": timestamp,
            "Witness-Signature": "sha256="
            + signature(self._secret, delivery.event_id, timestamp, delivery.body),
        }
        try:
            status = await self._post(self._url, delivery.body, headers)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return 200 <= int(status) < 300


async def _posted(url: str, body: bytes, headers: dict[str, str]) -> int:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as response,
    ):
        return response.status


class WebhookCollector(Collector):
    """Deliveries."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook

    def collect(self) -> Iterable[Metric]:
        """Totals and what waits."""
        webhook = self._webhook
        yield CounterMetricFamily(
            "witness_webhook_delivered", "Webhooks delivered.", webhook.delivered
        )
        yield CounterMetricFamily(
            "witness_webhook_failed", "Tries that brought no 2xx.", webhook.failed
        )
        yield CounterMetricFamily(
            "witness_webhook_dead", "Webhooks dropped or given up.", webhook.dropped
        )
        yield GaugeMetricFamily("witness_webhook_waiting", "Webhooks that wait.", webhook.waiting)
