"""YAML as a tree in which everything knows its file and line. Nothing but plain values is ever made.

Scalars are those of the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), which are those of
JSON: ``yes`` is a text, and ``1e4`` a number. What a file can demand is bounded: its size, its depth, and how many
values there are when all aliases are followed.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from labdaq.errors import DataError, NotFoundError, ResourceError

__all__ = ["Node", "mapping_of", "nearest", "read_tree", "scalar"]

_MOST_NBYTES = 256 << 10
_MOST_VALUES = 50_000
_DEEPEST = 40
_LONGEST_NUMBER = 400

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Node:
    """A value, or a mapping or list of others."""

    value: Any
    """A scalar, a dict of text to nodes, or a list of nodes."""
    file: Path
    line: int
    """From 1 on; that of its key where it has one."""
    count: int = field(default=1, compare=False)
    """How many values it holds, with itself, when all aliases are followed."""
    height: int = field(default=0, compare=False)
    """How many levels there are below."""

    def keys(self) -> tuple[str, ...]:
        """Of a mapping; nothing for all others."""
        return tuple(self.value) if isinstance(self.value, dict) else ()

    def get(self, key: str) -> "Node | None":
        """The value of a key, if there is one."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """The values alone."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def nearest_to(self, path: Sequence[str | int]) -> "Node":
        """The node that these keys lead to, or the last on the way that exists."""
        node = self
        for key in path:
            inside = isinstance(node.value, dict) and key in node.value
            inside = inside or (isinstance(node.value, list) and isinstance(key, int) and key < len(node.value))
            if not inside:
                break
            node = node.value[key]
        return node


def mapping_of(entries: Mapping[str, Node], file: Path, line: int) -> Node:
    """A mapping of nodes."""
    return _group(dict(entries), entries.values(), file, line)


def _group(value: Any, nodes: Iterable[Node], file: Path, line: int) -> Node:
    nodes = list(nodes)
    count = 1 + sum(node.count for node in nodes)
    return Node(value, file, line, count, max((node.height + 1 for node in nodes), default=0))


def nearest(name: object, known: Iterable[object], *, most: int = 20) -> str:
    """A hint to the known name that is meant, or to all there are when they are few.

    Examples
    --------
    >>> nearest("raeds", ["reads", "writes"]), nearest("x", ["reads", "writes"])
    ("; did you mean 'reads'?", '; there are: reads, writes')
    """
    names = [str(one) for one in known]
    near = difflib.get_close_matches(str(name), names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= most else ""


def scalar(text: str) -> Any:
    """The value that a text without quotes stands for: None, a bool, a number, or the text.

    Raises
    ------
    DataError
        For numbers of more than 400 digits.

    Examples
    --------
    >>> [scalar(text) for text in ("30", "1e4", "0x10", "true", "~", "yes", "12:30")]
    [30, 10000.0, 16, True, None, 'yes', '12:30']
    """
    if text in _WORDS:
        return _WORDS[text]
    is_integer = _INTEGER.fullmatch(text)
    if not is_integer and not _REAL.fullmatch(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise DataError(f"a number of {len(text)} digits: at most {_LONGEST_NUMBER} are possible")
    if not is_integer:
        return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1].isalpha() else text)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def read_tree(path: Path) -> Node:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises
    ------
    NotFoundError
        There is no such file; names one that is called similarly.
    DataError
        It is no YAML, no mapping, larger than 256 KiB, deeper than 40 levels or longer than 50 000 values, has a key
        twice, refers to itself, or uses tags. Names the file, the line and the key.
    ResourceError
        It cannot be read.
    """
    text = _text_of(path)
    tree = _Reader(path).read(text)
    if not isinstance(tree.value, dict):
        raise DataError(f"{path}:{tree.line}: keys with values are expected, and this is {tree.value!r:.60}")
    return tree


def _text_of(path: Path) -> str:
    if not path.is_file():
        there = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(f"there is no file {path}{nearest(path.name, there)}")
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_NBYTES + 1)
    except OSError as error:
        raise ResourceError.of(error, "reading the suite", path) from error
    if len(content) > _MOST_NBYTES:
        raise DataError(f"{path} is larger than {_MOST_NBYTES >> 10} KiB: this is no suite")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: this is no text in UTF-8: {error.reason}") from error


class _Reader:
    """Makes a tree from the events of YAML's parser, which needs no recursion, and counts on the way."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._anchors: dict[str, Node | None] = {}
        self._path: list[str] = []
        self._count = 0

    def read(self, text: str) -> Node:
        """The tree of one document."""
        try:
            self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
            tree = Node({}, self._file, 1)
            for number, event in enumerate(e for e in self._events if isinstance(e, yaml.DocumentStartEvent)):
                if number:
                    raise self._error(event, "a second document begins here, and a suite is one")
                tree = self._node(next(self._events), 0)
        except yaml.YAMLError as error:
            raise self._syntax(error) from error
        return replace(tree, value={}) if tree.value is None else tree

    def _syntax(self, error: Any) -> DataError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        return DataError(f"{self._file}{line}: this is no YAML: {problem}")

    def _error(self, event: Any, problem: str) -> DataError:
        keys = ".".join(self._path)
        return DataError(f"{self._file}:{event.start_mark.line + 1}: {f'{keys}: ' if keys else ''}{problem}")

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._look_at(event, 1, depth)
        if event.tag is not None:
            raise self._error(event, f"tags such as {event.tag!r:.60} are not used in suites")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = self._made(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _look_at(self, event: Any, count: int, depth: int) -> None:
        self._count += count
        if self._count > _MOST_VALUES:
            raise self._error(event, f"there are more than {_MOST_VALUES} values, counting what aliases stand for")
        if depth > _DEEPEST:
            raise self._error(event, f"this is deeper than {_DEEPEST} levels")

    def _alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self._anchors:
            raise self._error(event, f"nothing is marked &{event.anchor}{nearest(event.anchor, self._anchors)}")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._error(event, f"*{event.anchor} contains itself")
        self._look_at(event, node.count, depth + node.height)
        return node

    def _made(self, event: Any, depth: int) -> Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            try:
                return Node(scalar(event.value) if event.implicit[0] else event.value, self._file, line)
            except DataError as error:
                raise self._error(event, str(error)) from error
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(inner, depth + 1))
            return _group(items, items, self._file, line)
        return mapping_of(self._entries(depth), self._file, line)

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        below: dict[str, Node] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.tag is not None:
                raise self._error(key, "a key is a word or a number")
            self._path.append(key.value)
            node = self._node(next(self._events), depth + 1)
            if key.value == "<<" and key.implicit[0]:
                self._merge(key, node, below)
            elif key.value in entries:
                raise self._error(key, f"this key is here twice: in line {entries[key.value].line}, too")
            else:
                entries[key.value] = replace(node, line=key.start_mark.line + 1)
            self._path.pop()
        return {**below, **entries}

    def _merge(self, key: Any, node: Node, below: dict[str, Node]) -> None:
        """Add what ``<<`` brings, a mapping or several, of which the first wins."""
        for one in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(one.value, dict):
                raise self._error(key, "what is merged are mappings")
            for name, value in one.value.items():
                below.setdefault(name, value)
