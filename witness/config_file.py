"""Reads a YAML file so that every key and value remembers its line and column."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from witness import os_errors
from witness.i18n import t
from witness.problem import KeyPath, Place, Problem
from witness.yaml_errors import explain

__all__ = [
    "MAX_FILE_BYTES",
    "UNREADABLE",
    "ConfigFile",
    "parse_config",
    "parse_value",
    "read_config_file",
]

MAX_FILE_BYTES = 1 << 20
_MAX_SECTIONS = 8
_MAX_DEPTH = 64
"""Levels of the document itself: reading it is recursive."""

UNREADABLE = object()
"""Stands for an entry of a list that could not be read, so that the others keep their index."""

_UNREADABLE = "tag:witness,unreadable"


@dataclass(slots=True)
class ConfigFile:
    """Nested mappings as written.

    Attributes:
        values: without what could not be read.
        places: of every key path; entries of a list have their index as key.
        problems: what could not be read, and keys that stand twice.
        unreadable: key paths whose values are missing from ``values``.
        complete: false where the file as a whole could not be read.
        folder: what paths in the file are relative to.
    """

    values: dict[str, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[KeyPath] = field(default_factory=set)
    complete: bool = True
    folder: Path = field(default_factory=Path.cwd)


def read_config_file(path: Path) -> ConfigFile:
    """Parses ``path``; what is wrong with it is in the result."""
    folder = path.absolute().parent
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        return _unusable(Problem(os_errors.reason(error), Place(str(path))), folder)
    if len(raw) > MAX_FILE_BYTES:
        problem = Problem(t("larger than 1 MiB; is this the right file?"), Place(str(path)))
        return _unusable(problem, folder)
    return parse_config(raw, str(path), folder)


def parse_config(raw: bytes, source: str, folder: Path | None = None) -> ConfigFile:
    """Parses the text of a file; ``source`` names it in errors."""
    folder = folder or Path.cwd()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        place = Place(source, line, column)
        return _unusable(Problem(t("not UTF-8; save the file in that encoding"), place), folder)
    reader = _Reader(source, folder)
    try:
        node = reader.compose(text)
    except yaml.YAMLError as error:
        return _unusable(explain(error, source, text), folder)
    result = reader.result
    if node is None:
        empty = t("the file is empty; write at least one section, such as `server:`")
        return _unusable(Problem(empty, Place(source)), folder)
    if not isinstance(node, yaml.MappingNode):
        if not result.problems:
            text = t("the file must hold sections, such as `server:`")
            result.problems.append(Problem(text, reader.place(node)))
        result.complete = False
        return result
    result.values = reader.mapping(node, ())
    return result


def parse_value(text: str) -> object:
    """A value as it would stand in a file; the text itself if it is no YAML or has aliases."""
    loader = _TolerantLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None or loader.aliases else loader.construct_document(node)
    except (yaml.YAMLError, ValueError):
        return text
    finally:
        loader.dispose()


def _unusable(problem: Problem, folder: Path) -> ConfigFile:
    return ConfigFile(problems=[problem], complete=False, folder=folder)


class _TolerantLoader(yaml.SafeLoader):
    """Puts a marker where an alias stands: a few lines of aliases can stand for gigabytes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.aliases: list[yaml.Mark] = []
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            self.aliases.append(event.start_mark)
            return yaml.ScalarNode(_UNREADABLE, "", event.start_mark, event.end_mark)
        if self._depth >= _MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """One document on its way to a :class:`ConfigFile`."""

    def __init__(self, source: str, folder: Path) -> None:
        self._source = source
        self.result = ConfigFile(folder=folder)

    def compose(self, text: str) -> yaml.Node | None:
        """The document's root; aliases are complained of."""
        loader = _TolerantLoader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
        for mark in loader.aliases:
            place = Place(self._source, mark.line + 1, mark.column + 1)
            self._complain(place, t("aliases (*name) are not supported; write the value again"))
        return node

    def place(self, node: yaml.Node) -> Place:
        """Where the node begins."""
        return Place(self._source, node.start_mark.line + 1, node.start_mark.column + 1)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        """The values of a section that can be read."""
        values: dict[str, object] = {}
        for key, value in self._pairs(node):
            here = (*path, key.value)
            if here in self.result.places:
                first = self.result.places[here]
                text = t("stands here a second time, the first is in line {line}; remove one")
                self._complain(self.place(key), text.format(line=first.line), here)
                continue
            self.result.places[here] = self.place(key)
            if self._is_readable(value, here):
                values[key.value] = self._node(value, here)
        return values

    def _is_readable(self, node: yaml.Node, path: KeyPath) -> bool:
        if node.tag == _UNREADABLE:
            self.result.unreadable.add(path)
            return False
        if isinstance(node, yaml.MappingNode) and len(path) >= _MAX_SECTIONS:
            self._complain(self.place(node), t("nested too deeply"), path)
            self.result.unreadable.add(path)
            return False
        return True

    def _node(self, node: yaml.Node, path: KeyPath) -> object:
        """A mapping, a list (its entries placed by index) or a scalar."""
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if not isinstance(node, yaml.SequenceNode):
            return self._scalar(node, path)
        items: list[object] = []
        for index, item in enumerate(node.value):
            here = (*path, str(index))
            self.result.places[here] = self.place(item)
            if self._is_readable(item, here):
                items.append(self._node(item, here))
            else:
                items.append(UNREADABLE)
        return items

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(self.place(key), t("a key must be a plain word"))
            elif key.tag != _UNREADABLE:
                yield key, value

    def _scalar(self, node: yaml.Node, path: KeyPath) -> object:
        """In YAML's own types."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_document(node)
        except (yaml.YAMLError, ValueError):
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            text = t("this is no value of the type {tag}; write a plain one").format(tag=tag)
            self._complain(self.place(node), text, path)
            self.result.unreadable.add(path)
            return None
        finally:
            loader.dispose()

    def _complain(self, place: Place, text: str, path: KeyPath = ()) -> None:
        self.result.problems.append(Problem(text, place, ".".join(path)))
