"""Settings from YAML files, read so that whatever is wrong is told with its file, its key and its value."""

import difflib
import importlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, LayoutError, MissingExtraError, NotFoundError, ResourceError

__all__ = ["Section", "nearest", "read_yaml"]

logger = logging.getLogger("labdaq.compat.mimocorb")
_MISSING = object()


def read_yaml(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping. Only plain values are made, never objects.

    Raises
    ------
    NotFoundError
        When there is no such file; names one that is called similarly.
    DataError
        When it is no YAML, or no mapping; says in which line.
    MissingExtraError
        When PyYAML is not installed.
    """
    try:
        yaml = importlib.import_module("yaml")
    except ImportError as error:
        raise MissingExtraError("suites are written in YAML: pip install 'labdaq[notebook]'") from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(f"there is no file {path}{nearest(path.name, there)}") from error
    except OSError as error:
        raise ResourceError.of(error, "reading the file", path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, and not keys with values")
    return content or {}


def nearest(name: object, known: Iterable[object]) -> str:
    """A hint to the known name that is meant, or to all there are.

    Examples
    --------
    >>> nearest("num_proces", ["num_process", "file_name"]), nearest("x", ["a", "b"])
    ("; did you mean 'num_process'?", '; there are: a, b')
    """
    names = [str(one) for one in known]
    near = difflib.get_close_matches(str(name), names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names)}" if names else ""


class Section:
    """A mapping somewhere in a file.

    Parameters
    ----------
    file
        The file.
    where
        The keys that lead to it, as ``Functions.Fkt_1``; empty for the file itself.
    values
        The mapping; None for an empty one.

    Raises
    ------
    LayoutError
        When it is none.

    Examples
    --------
    >>> section = Section("setup.yaml", "Functions.Fkt_1", {"num_process": "two"})
    >>> section.take("num_process", int)
    Traceback (most recent call last):
    labdaq.errors.LayoutError: setup.yaml: Functions.Fkt_1.num_process = 'two': a whole number is wanted
    """

    def __init__(self, file: object, where: str, values: Any) -> None:
        self.file, self.where = file, where
        if values is not None and not isinstance(values, Mapping):
            raise LayoutError(f"{file}: {where or 'the file'} = {values!r}: keys with values are wanted")
        self.values: Mapping[Any, Any] = values or {}

    def error(self, key: object, problem: str) -> LayoutError:
        """An error that names the file, the key and its value."""
        path = f"{self.where}.{key}" if self.where else str(key)
        given = f" = {self.values[key]!r}" if key in self.values else ""
        return LayoutError(f"{self.file}: {path}{given}: {problem}")

    def take(self, key: str, kind: type, default: Any = _MISSING) -> Any:
        """The value of a key.

        Parameters
        ----------
        key
            Its name.
        kind
            ``int``, ``float``, ``bool``, ``str``, ``dict`` or ``list``.
        default
            What it is when it is not there; without a default it has to be.

        Raises
        ------
        LayoutError
            When it is missing, or of another kind.
        """
        if self.values.get(key) is None:
            if default is _MISSING:
                raise self.error(key, f"this is missing{nearest(key, self.values)}")
            return default
        value = self.values[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is float and is_number:
            return float(value)
        if kind is int and is_number and value == int(value):
            return int(value)
        if kind not in {int, float} and isinstance(value, kind):
            return value
        raise self.error(key, f"{_WORDS[kind]} is wanted")

    def count(self, key: str, default: Any = _MISSING, *, least: int = 1) -> int:
        """A whole number of at least ``least``."""
        value = self.take(key, int, default)
        if value < least:
            raise self.error(key, f"a whole number of at least {least} is wanted")
        return int(value)

    def part(self, key: str, default: Any = _MISSING) -> "Section":
        """The mapping below a key."""
        values = self.take(key, dict, default)
        return Section(self.file, f"{self.where}.{key}" if self.where else key, values)

    def check_keys(self, known: Iterable[str]) -> None:
        """Refuse a key that looks like a slip for a known one; others are ignored, as in v1, and logged."""
        names = list(known)
        for key in self.values:
            if key in names:
                continue
            near = difflib.get_close_matches(str(key), [name for name in names if name not in self.values], 1, 0.8)
            if near:
                raise self.error(key, f"this is not known; did you mean {near[0]!r}?")
            logger.info("%s: %s.%s is not known, and ignored", self.file, self.where, key)


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    dict: "keys with values",
    list: "a list",
}
