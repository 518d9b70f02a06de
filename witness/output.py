"""Where the result of a measurement goes."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Output"]


@dataclass(frozen=True, slots=True)
class Output:
    """JSON or text on standard output, and a page if asked for."""

    as_json: bool = False
    html: Path | None = None

    def write(
        self, *, page: Callable[[], str], data: Callable[[], Any], text: Callable[[], str]
    ) -> None:
        """Writes what was asked for; only that is made."""
        if self.html is not None:
            self.html.write_text(page(), encoding="utf-8")
        shown = json.dumps(data(), ensure_ascii=False, indent=2) if self.as_json else text()
        sys.stdout.write(shown + "\n")
        sys.stdout.flush()
