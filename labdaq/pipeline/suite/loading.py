"""Suites from files: labdaq's own, and those of other programs, which are handed on."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from labdaq.errors import LayoutError, MissingExtraError, NotFoundError
from labdaq.pipeline.suite.building import build
from labdaq.pipeline.suite.layers import read_layers
from labdaq.pipeline.suite.problems import located, misfit
from labdaq.pipeline.suite.schema import Suite
from labdaq.pipeline.suite.tree import Node, nearest, read_tree

__all__ = ["load_suite", "open_suite"]

_GROUP = "labdaq.suites"
_OTHERS = {"mimocorb": {"RingBuffer", "Functions"}, "mimocorb2": {"Buffers", "Workers"}}
"""Keys by which the suites of other programs are known; the names are those of the entry points that take them."""


def load_suite(path: str | Path) -> Suite:
    """Read and check a suite; nothing is imported, made or run.

    Parameters
    ----------
    path
        A YAML file in labdaq's schema: see :func:`json_schema`.

    Returns
    -------
    Suite
        The description, which cannot be changed. :func:`build` makes a pipeline of it.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        It is no YAML, or demands more than a suite may.
    LayoutError
        A key or value is not as expected. The message names file, line and key path, and the nearest known key.
    """
    path = Path(path)
    tree = read_layers(path)
    other = _other(tree)
    if other:
        raise LayoutError(f"{path}:1: this is a suite of {other}, and not of labdaq: labdaq run takes both")
    return _checked(tree)


def open_suite(path: str | Path, *, store: str | Path | None = None) -> Any:
    """The pipeline of a suite, or what takes the suites of the program that it was written for.

    Suites of other programs are handed to the entry point of their name (``mimocorb``, ``mimocorb2``) in the group
    ``labdaq.suites``: a function that takes the path and returns an object with ``run(events, seconds)``.

    Parameters
    ----------
    path
        The file.
    store
        Where runs are kept, instead of where the suite says. For labdaq's own suites.

    Raises
    ------
    MissingExtraError
        Nothing that is installed takes such suites.
    NotFoundError, DataError, LayoutError
        As for :func:`load_suite` and :func:`build`.
    """
    path = Path(path)
    other = _other(read_tree(path))
    if not other:
        return build(load_suite(path), store=store)
    for entry in entry_points(group=_GROUP):
        if entry.name == other:
            return entry.load()(path)
    raise MissingExtraError(
        f"{path}:1: this is a suite of {other}, and no package that is installed takes it: "
        f"an entry point {other!r} in the group {_GROUP!r} is missing"
    )


def _other(tree: Node) -> str:
    """The program whose suite this is, if it is not labdaq's."""
    return next((name for name, keys in _OTHERS.items() if keys <= set(tree.keys())), "")


def _checked(tree: Node) -> Suite:
    try:
        suite = Suite.model_validate(tree.plain())
    except ValidationError as error:
        raise misfit(error, tree) from error
    suite._tree = tree
    for name, part in suite.workers.items():
        for role in ("reads", "writes", "observes", "drain"):
            given = getattr(part, role, ())
            for ring in (given,) if isinstance(given, str) else given:
                with located(tree, "workers", name, role):
                    if ring not in suite.rings:
                        raise NotFoundError(f"there is no ring {ring!r}{nearest(ring, suite.rings)}")
    return suite
