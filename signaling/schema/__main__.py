"""Command line of the schema: writes or checks ``v1.json``."""

import sys

from signaling.schema import SCHEMA_PATH, schema_text

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Writes the file, or with ``--check`` compares it; 1 when it is out of date."""
    text = schema_text()
    if arguments == ["--check"]:
        current = SCHEMA_PATH.read_text(encoding="utf-8") if SCHEMA_PATH.exists() else ""
        if current != text:
            sys.stderr.write(f"{SCHEMA_PATH} is out of date: run python -m signaling.schema\n")
            return 1
        return 0
    if arguments:
        sys.stderr.write("usage: python -m signaling.schema [--check]\n")
        return 2
    SCHEMA_PATH.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
