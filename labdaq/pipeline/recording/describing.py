"""A pipeline as it was run, in words and numbers that JSON can hold."""

import functools
import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from labdaq.pipeline.nodes import Node, upstream_order
from labdaq.roles import parameters_of

__all__ = ["description_of"]

_LONGEST = 20_000


def description_of(nodes: Sequence[Node]) -> dict[str, Any]:
    """Rings and workers with all settings, parameters, seeds, and the source code of functions.

    Examples
    --------
    >>> description_of([Node("sink", "look", print)])["workers"]["look"]["work"]
    'print'
    """
    rings = {ring.name: ring for node in nodes for ring in (*node.reads, *node.writes, *node.observes)}
    return {
        "rings": {
            name: {
                "dtype": np.lib.format.dtype_to_descr(ring.dtype),
                "shape": list(ring.shape),
                "capacity": ring.capacity,
                "header": _plain(ring.header),
            }
            for name, ring in rings.items()
        },
        "workers": {
            node.name: {"origin": origin, **_described(node)} for origin, node in enumerate(upstream_order(nodes), 1)
        },
    }


def _described(node: Node) -> dict[str, Any]:
    about: dict[str, Any] = {
        "role": node.role,
        "work": getattr(node.work, "__qualname__", None) or type(node.work).__qualname__,
        "reads": [ring.name for ring in node.reads],
        "writes": [ring.name for ring in node.writes],
        "observes": [ring.name for ring in node.observes],
        "workers": node.workers,
        "run_in": node.run_in,
        "options": _plain(node.options),
        "parameters": {name: {"value": one.value, "unit": one.unit} for name, one in parameters_of(node.work).items()},
    }
    files = getattr(node.work, "file_names", None)
    if isinstance(files, list | tuple) and files:
        about["files"] = [str(name) for name in files]
    if isinstance(node.work, functools.partial):
        about["work"] = node.work.func.__qualname__
        about["settings"] = _plain(node.work.keywords)
    seed = getattr(node.work, "seed", None)
    if isinstance(seed, int):
        about["seed"] = seed
    code = _code_of(node.work)
    if code:
        about["code"] = code
    return about


def _code_of(work: Any) -> str:
    """The source code of what a user wrote; nothing of what labdaq brings."""
    what = getattr(work, "func", work)  # of a partial
    what = getattr(what, "py_func", what)
    while isinstance(what, partial):
        what = what.func
    what = what if inspect.isroutine(what) else type(what)
    if (getattr(what, "__module__", None) or "builtins").partition(".")[0] in {"labdaq", "builtins", "numpy"}:
        return ""
    try:
        return inspect.getsource(what)[:_LONGEST]
    except (OSError, TypeError):
        return ""


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return repr(value)
