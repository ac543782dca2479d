"""YAML text → plain data, with the line of every key and list item.

YAML 1.2's core schema, so nothing turns into something else by surprise: `no`, `on`, `06:00` and `2024-01-01` are texts, `true` and
`false` the only booleans, numbers decimal. Built on the parser's events: its constructors would resolve more, and forget the lines.

Refused: duplicate keys, several documents, tags, keys that are not texts, aliases that contain themselves or blow up. Anchors and aliases
are fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from headrace.configuration_model import Path, shown

LIMIT_NODES = 100_000
"""After aliases are expanded. A configuration that needs more is a mistake or an attack."""

LIMIT_DEPTH = 50

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class YamlError(Exception):
    """What is wrong with the text as such, and in which line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(slots=True)
class Node:
    """A value and where it stands. `keys`: of a mapping, the line of each key. `size`: nodes below and itself, aliases expanded."""

    value: Any
    line: int
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    size: int = 1


@dataclass(frozen=True, slots=True)
class YamlDocument:
    data: Any
    root: Node

    def line(self, path: Path) -> int:
        """The line of a key or list item; of the nearest thing around it, where the path leads to nothing."""
        node = self.root
        line = node.line
        for part in path:
            child = node.children.get(part)
            if child is None:
                return line
            line = node.keys.get(part, child.line) if isinstance(part, str) else child.line
            node = child
        return line

    def key_paths(self) -> Iterator[Path]:
        """The path of every key, aliases expanded."""
        pending: list[tuple[Path, Node]] = [((), self.root)]
        while pending:
            path, node = pending.pop()
            for part, child in node.children.items():
                below = (*path, part)
                if isinstance(part, str):
                    yield below
                pending.append((below, child))


def parse_yaml(text: str) -> YamlDocument:
    """Raises YamlError. An empty text is a document that holds None."""
    try:
        root = _Builder().build(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, _explained(error, text)) from None
    except YAMLError:
        raise YamlError(1, "holds characters that YAML does not allow (control characters); remove them") from None
    return YamlDocument(root.value, root)


def _explained(error: MarkedYAMLError, text: str) -> str:
    """The parser's reason, without the piece of text that it would show: it may hold a secret."""
    problem = str(error.problem or error.context or "is not YAML")
    if r"'\t'" in problem:
        return "a tab where YAML wants blanks; indent with blanks"
    if problem.startswith("mapping values are not allowed"):
        return "a ': ' where no value can begin; check the indentation, and put texts that hold ': ' in quotes"
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        return f"{problem}; put the text in quotes"
    return f"is not YAML: {problem}; check indentation, quotes and brackets"


class _Builder:
    """One document's events → nodes."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node | None] = {}
        self._documents = 0

    def build(self, events: Iterator[Event]) -> Node:
        self._events = iter(events)
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise YamlError(_line(event), "a second document begins here; write one file for each")
            elif isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                root = self._node(event, 0)
        return root or Node(None, 1)

    def _node(self, event: Event, depth: int) -> Node:
        line = _line(event)
        if depth > LIMIT_DEPTH:
            raise YamlError(line, f"is nested deeper than {LIMIT_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._aliased(event)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = None
        if getattr(event, "tag", None) is not None:
            raise YamlError(line, "a tag (!…) has no meaning here; remove it, and put texts that look like numbers in quotes")
        if isinstance(event, ScalarEvent):
            node = Node(_scalar(event), line)
        else:
            node = self._mapping(line, depth) if isinstance(event, MappingStartEvent) else self._sequence(line, depth)
        if node.size > LIMIT_NODES:
            raise YamlError(line, f"holds more than {LIMIT_NODES} values; aliases count as often as they are used")
        if anchor:
            self._anchors[anchor] = node
        return node

    def _aliased(self, event: AliasEvent) -> Node:
        name = str(event.anchor)
        if name not in self._anchors:
            raise YamlError(
                _line(event), f"alias *{shown(name, limit=32)} has no anchor before it; define it with &{shown(name, limit=32)}"
            )
        node = self._anchors[name]
        if node is None:
            raise YamlError(_line(event), f"alias *{shown(name, limit=32)} contains itself; write the value out")
        return node

    def _mapping(self, line: int, depth: int) -> Node:
        node = Node({}, line)
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, depth + 1)
            if key.value == "<<" and isinstance(event, ScalarEvent) and not event.style:
                raise YamlError(
                    _line(event), "merge keys (<<) are not part of YAML 1.2; write the keys out, or use an alias for the whole value"
                )
            if not isinstance(key.value, str):
                raise YamlError(_line(event), "a key must be a text; put it in quotes")
            if key.value in node.value:
                twice = f"key '{shown(key.value, limit=32)}' is there twice, first in line {node.keys[key.value]}; remove one"
                raise YamlError(_line(event), twice)
            node.keys[key.value] = _line(event)
            self._adopt(node, key.value, self._node(next(self._events), depth + 1))
        return node

    def _sequence(self, line: int, depth: int) -> Node:
        node = Node([], line)
        while not isinstance(event := next(self._events), SequenceEndEvent):
            self._adopt(node, len(node.children), self._node(event, depth + 1))
        return node

    @staticmethod
    def _adopt(node: Node, part: str | int, child: Node) -> None:
        node.children[part] = child
        node.size += child.size
        if isinstance(part, str):
            node.value[part] = child.value
        else:
            node.value.append(child.value)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _scalar(event: ScalarEvent) -> str | int | float | bool | None:
    text = str(event.value)
    if event.style:  # quoted or a block
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
