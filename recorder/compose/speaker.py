"""Who stands large because they speak."""

from collections.abc import Mapping
from typing import Final

__all__ = ["Speaker"]

_SPEECH: Final = 0.01
_LOUDER: Final = 1.5
_AFTER_S: Final = 1.0
_SMOOTHING_S: Final = 0.6


class Speaker:
    """Follows smoothed loudness; changes only after another was louder for a second."""

    def __init__(self, ticks_per_s: int) -> None:
        self.current: str | None = None
        self._keep = 1 - 1 / (_SMOOTHING_S * ticks_per_s)
        self._after = round(_AFTER_S * ticks_per_s)
        self._levels: dict[str, float] = {}
        self._challenger: str | None = None
        self._since = 0

    def hear(self, levels: Mapping[str, float]) -> None:
        """Loudness of one tick by participant, root mean square; who is not there is silent."""
        for name in {*self._levels, *levels}:
            before = self._levels.get(name, 0.0)
            self._levels[name] = before * self._keep + levels.get(name, 0.0) * (1 - self._keep)
        if not self._levels:
            return
        loudest = max(self._levels, key=lambda name: self._levels[name])
        least = _SPEECH
        if self.current is not None:
            least = max(least, _LOUDER * self._levels.get(self.current, 0.0))
        if loudest == self.current or self._levels[loudest] < least:
            self._challenger, self._since = None, 0
            return
        self._since = self._since + 1 if self._challenger == loudest else 1
        self._challenger = loudest
        if self.current is None or self._since >= self._after:
            self.current, self._challenger, self._since = loudest, None, 0
