"""The object that does a worker's work, from its name and its settings.

========================  ===========================================================
``module.Class``          the class is called with the settings
``module.function``       the function itself; with settings it is called with them, too
``module.function()``     the function is called with the settings, and gives the worker
``pulses.csv``, ``store`` sinks only: a file of this name in the folder of each run; streams of the store
========================  ===========================================================
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePath
from typing import Any

from labdaq.errors import LabdaqError, LayoutError, NotFoundError
from labdaq.files import CsvFile, ParquetFile, ParquetTarFile
from labdaq.pipeline.suite.names import object_named
from labdaq.pipeline.suite.tree import nearest
from labdaq.roles import parameters_of

__all__ = ["sink_for", "worker_for"]

At = Callable[..., AbstractContextManager[None]]

_FILES: dict[str, Callable[..., Any] | None] = {
    ".csv": CsvFile,
    ".txt": partial(CsvFile, separator="\t"),
    ".parquet": ParquetFile,
    ".tar": ParquetTarFile,
    ".h5": None,
    ".hdf5": None,
    ".nxs": None,
    ".zarr": None,
}
"""What writes files of an ending, where it takes settings."""


def worker_for(name: str, settings: Mapping[str, Any], at: At, *, is_compiled: bool = False) -> Any:
    """The source, filter or function of this name, with settings.

    Parameters
    ----------
    name
        As above.
    settings
        Arguments by name.
    at
        Gives a context that says in errors from where they come, for keys below those of the worker.
    is_compiled
        Whether it is to be compiled: then settings come through a function that makes it.

    Raises
    ------
    NotFoundError
        There is no such thing.
    LayoutError
        It does not take these settings, or raised while it was made.
    """
    with at("name"):
        found = object_named(name.removesuffix("()"))
    if settings:
        _check_settings(found, settings, name, at)
    if isinstance(found, type) or name.endswith("()"):
        with at("settings" if settings else "name"):
            return _called(found, settings, name)
    if settings and is_compiled:
        with at("settings"):
            raise LayoutError(f"what is compiled takes no settings: name a function that makes it, as {name}()")
    return _bound(found, settings) if settings else found


def sink_for(name: str, settings: Mapping[str, Any], at: At) -> Any:
    """The sink of this name: an object, a file of :mod:`labdaq.files`, the name of one, or ``"store"``.

    Raises
    ------
    NotFoundError, LayoutError
        As for :func:`worker_for`; or a file is outside of the folder of the run.
    """
    ending = PurePath(name).suffix
    if name != "store" and ending not in _FILES:
        try:
            return worker_for(name, settings, at)
        except NotFoundError as error:
            raise NotFoundError(f"{error}; if it is to be a file, they end in {', '.join(_FILES)}") from error
    if PurePath(name).name != name:
        with at("name"):
            raise LayoutError(f"files are in the folder of their run: give {name!r} without folders")
    if not settings:
        return name
    kind = _FILES.get(ending)
    if kind is None:
        with at("settings"):
            raise LayoutError(f"{name} takes no settings")
    _check_settings(kind, settings, name, at)
    with at("settings"):
        return _called(partial(kind, name), settings, name)


def _check_settings(function: Any, settings: Mapping[str, Any], name: str, at: At) -> None:
    """Refuse settings that nothing takes, before anything is called."""
    if not callable(function):
        with at("settings"):
            raise LayoutError(f"{name} takes no settings")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]
    for setting in settings:
        if setting not in known:
            with at("settings", setting):
                raise LayoutError(f"{name} does not take this{nearest(setting, known)}")


def _called(function: Callable[..., Any], settings: Mapping[str, Any], name: str) -> Any:
    try:
        return function(**settings)
    except LabdaqError:
        raise
    except (Exception, SystemExit) as error:
        raise LayoutError(
            f"{name} with settings {dict(settings)!r:.200} raised {type(error).__name__}: {error}"
        ) from error


def _bound(function: Any, settings: Mapping[str, Any]) -> Any:
    """A function with settings, which goes on to have its name and its parameters."""
    bound = partial(function, **settings)
    for attribute in ("__name__", "__qualname__", "__doc__"):
        if hasattr(function, attribute):
            setattr(bound, attribute, getattr(function, attribute))
    for name, parameter in parameters_of(function).items():
        setattr(bound, name, parameter)
    return bound
