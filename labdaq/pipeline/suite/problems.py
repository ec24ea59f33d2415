"""What is wrong in a suite, said with its file, line and key, what was expected, and the nearest thing known."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from labdaq.errors import DataError, LayoutError, MissingExtraError, NotFoundError
from labdaq.pipeline.suite.schema import part_at
from labdaq.pipeline.suite.tree import Node, nearest

__all__ = ["located", "misfit"]

_MOST = 5
_PLAINLY = {
    "Input should be": "expected",
    "String should": "a text should",
    "a valid dictionary": "keys with values",
    "a valid tuple": "a list",
    "a valid string": "a text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "Tuple should": "a list should",
    "Value should": "a list should",
    " after validation": "",
    "Dictionary should": "this should",
}
"""The words of pydantic in those of YAML."""
Keys = Sequence[str | int]


@contextmanager
def located(tree: Node, *path: str | int) -> Iterator[None]:
    """Say in every error of labdaq from which file, line and key it comes.

    Parameters
    ----------
    tree
        The whole content of the suite.
    path
        Keys that lead to the place.
    """
    try:
        yield
    except (LayoutError, NotFoundError, DataError, MissingExtraError) as error:
        raise type(error)(f"{_where(tree, path)}: {error}") from error


def misfit(error: ValidationError, tree: Node) -> LayoutError:
    """The first problems that pydantic found, a line for each."""
    found = error.errors(include_url=False)
    lines = [_line(tree, _keys(one["loc"]), one) for one in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"and {len(found) - _MOST} more")
    return LayoutError("\n".join(lines))


def _keys(loc: Sequence[str | int]) -> list[str | int]:
    """The keys of the file, without the steps that pydantic adds."""
    is_worker = len(loc) > 2 and loc[0] == "workers"  # then the third step is the chosen kind of worker
    return [key for number, key in enumerate(loc) if key != "[key]" and not (is_worker and number == 2)]


def _where(tree: Node, path: Keys) -> str:
    node = tree.nearest_to(path)
    keys = ".".join(map(str, path))
    return f"{node.file}:{node.line}" + (f": {keys}" if keys else "")


def _line(tree: Node, path: Keys, problem: Any) -> str:
    return f"{_where(tree, path)}: {_expected(problem, tree, path)}"


def _expected(problem: Any, tree: Node, path: Keys) -> str:
    kind, context, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "missing":
        return f"this key is missing{nearest('', tree.nearest_to(path).keys())}"
    if kind == "extra_forbidden":
        return f"this key is not known{nearest(path[-1], part_at(path[:-1], tree))}"
    if kind == "role":
        return f"{problem['msg']}{_nearest_of_all(given, part_at(path, tree))}"
    if kind == "value_error":
        return str(context["error"])
    expected = problem["msg"]
    for said, plainly in _PLAINLY.items():
        expected = expected.replace(said, plainly, 1)
    choices = re.findall(r"'([^']*)'", context["expected"]) if kind == "literal_error" else []
    return f"{expected}; it is {given!r:.60}{nearest(given, choices, most=0)}"


def _nearest_of_all(given: Any, known: Iterable[str]) -> str:
    """A hint for the first key that looks like a known one."""
    known = list(known)
    for key in given if isinstance(given, dict) else ():
        if key not in known and difflib.get_close_matches(str(key), known, 1):
            return f", and {key!r} is not known{nearest(key, known)}"
    return ""
