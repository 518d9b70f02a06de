"""Reads a YAML file so that every key and value remembers its line and column."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from witness.errors import ConfigError
from witness.i18n import t

__all__ = ["MAX_FILE_BYTES", "ConfigFile", "KeyPath", "Place", "parse_config", "read_config_file"]

MAX_FILE_BYTES = 1 << 20
_MAX_DEPTH = 8

KeyPath = tuple[str, ...]


class _NoAliasLoader(yaml.SafeLoader):
    """Refuses anchors: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, t("aliases are not supported"), mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands; lines and columns count from 1."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if self.line == 0:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(slots=True)
class ConfigFile:
    """Nested mappings as written, and the place of every key path."""

    values: dict[str, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)


def read_config_file(path: Path) -> ConfigFile:
    """Parses ``path``.

    Raises:
        ConfigError: unreadable, not YAML, not a mapping, a key twice, or an alias.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError([t("{path}: larger than 1 MiB").format(path=path)])
    return parse_config(raw, str(path))


def parse_config(raw: bytes, source: str) -> ConfigFile:
    """Parses the text of a file; ``source`` names it in errors."""
    try:
        node = yaml.compose(raw.decode(), Loader=_NoAliasLoader)
    except UnicodeDecodeError as error:
        raise ConfigError([t("{path}: not UTF-8").format(path=source)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        raise ConfigError([f"{place}: {error.problem or error.context}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{source}: {error}"]) from error
    result = ConfigFile()
    if node is not None:
        if not isinstance(node, yaml.MappingNode):
            problem = t("the file must hold sections, such as `server:`")
            raise ConfigError([f"{_place(source, node)}: {problem}"])
        result.values = _mapping(node, (), source, result.places)
    return result


def _place(source: str, node: yaml.Node) -> Place:
    return Place(source, node.start_mark.line + 1, node.start_mark.column + 1)


def _mapping(
    node: yaml.MappingNode, path: KeyPath, source: str, places: dict[KeyPath, Place]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in _pairs(node, path, source):
        here = (*path, key.value)
        if key.value in values:
            raise ConfigError(
                [
                    t("{place}: {key} stands here a second time").format(
                        place=_place(source, key), key=".".join(here)
                    )
                ]
            )
        places[here] = _place(source, key)
        values[key.value] = _node(value, here, source, places)
    return values


def _node(node: yaml.Node, path: KeyPath, source: str, places: dict[KeyPath, Place]) -> object:
    """A mapping, a list (its entries placed by index) or a scalar."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source, places)
    if not isinstance(node, yaml.SequenceNode):
        return _value(node, source)
    items = []
    for index, item in enumerate(node.value):
        here = (*path, str(index))
        places[here] = _place(source, item)
        items.append(_node(item, here, source, places))
    return items


def _pairs(
    node: yaml.MappingNode, path: KeyPath, source: str
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    if len(path) >= _MAX_DEPTH:
        raise ConfigError([f"{_place(source, node)}: " + t("nested too deeply")])
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError([f"{_place(source, key)}: " + t("a key must be a plain word")])
        yield key, value


def _value(node: yaml.Node, source: str) -> object:
    """A scalar, in YAML's own types."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([f"{_place(source, node)}: {error.problem}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{_place(source, node)}: {error}"]) from error
    finally:
        loader.dispose()
