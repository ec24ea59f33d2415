"""Objects by name: ``module.attribute`` of a folder of modules or of an installed package, or an entry point."""

import importlib
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline.suite.tree import nearest

__all__ = ["modules_from", "object_named"]

_GROUP = "labdaq.workers"
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_LOADING = threading.RLock()
_loaded: set[str] = set()


@contextmanager
def modules_from(folder: Path | None) -> Iterator[None]:
    """Find modules in a folder first, while this lasts.

    They are read anew each time, so that what was edited holds, and two suites may have modules of one name. To
    other processes they go as they are. Nothing is written into the folder.

    Parameters
    ----------
    folder
        None: only what is installed is found.

    Raises
    ------
    NotFoundError
        There is no such folder.
    LayoutError
        A module in it has the name of another that is in use, or of one of Python's.
    """
    if folder is None:
        yield
        return
    if not folder.is_dir():
        there = [one.name for one in folder.parent.iterdir() if one.is_dir()] if folder.parent.is_dir() else []
        raise NotFoundError(f"there is no folder {folder}{nearest(folder.name, there)}")
    with _LOADING:
        for name in list(_loaded):
            sys.modules.pop(name, None)
        _loaded.clear()
        _check_names(folder)
        before, writes_bytecode = set(sys.modules), sys.dont_write_bytecode
        place = str(folder.absolute())
        sys.path.insert(0, place)
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(place)
            sys.dont_write_bytecode = writes_bytecode
            for name in set(sys.modules) - before:
                _note(name, folder)


def _note(name: str, folder: Path) -> None:
    module = sys.modules[name]
    if _is_inside(module, folder):
        _loaded.add(name)
        cloudpickle.register_pickle_by_value(module)


def _check_names(folder: Path) -> None:
    for path in folder.iterdir():
        name = path.stem if path.suffix == ".py" else path.name if (path / "__init__.py").is_file() else ""
        used = sys.modules.get(name)
        if name in sys.stdlib_module_names or (used is not None and not _is_inside(used, folder)):
            other = getattr(used, "__file__", None) or "Python itself"
            raise LayoutError(f"{path} has the name of a module of {other}: choose another name for it")


def _is_inside(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())


def object_named(name: str) -> Any:
    """What a name stands for.

    Parameters
    ----------
    name
        ``module.attribute``, or the name of an entry point of the group ``labdaq.workers``.

    Raises
    ------
    NotFoundError
        There is no such module or attribute; names what is called similarly.
    LayoutError
        It is no name, or importing its module failed.

    Examples
    --------
    >>> object_named("labdaq.roles.Trigger").__name__
    'Trigger'
    >>> object_named("labdaq.roles.Triger")
    Traceback (most recent call last):
    labdaq.errors.NotFoundError: labdaq.roles has no 'Triger'; did you mean 'Trigger'?
    """
    if not _NAME.fullmatch(name):
        raise LayoutError(f"expected module.attribute; it is {name!r:.60}")
    entries = entry_points(group=_GROUP)
    for entry in entries:
        if entry.name == name:
            return _imported(entry.load, f"the worker {name!r} of {entry.value}")
    if "." not in name:
        raise NotFoundError(f"{name!r} is no worker of an installed package{nearest(name, entries.names)}; "
                            "one of your own is written module.attribute")  # fmt: skip
    parts = name.split(".")
    module, rest = _longest_module(parts)
    found: Any = module
    for number, part in enumerate(rest):
        if not hasattr(found, part):
            owner = ".".join(parts[: len(parts) - len(rest) + number])
            public = [one for one in dir(found) if not one.startswith("_")]
            raise NotFoundError(f"{owner} has no {part!r}{nearest(part, public)}")
        found = getattr(found, part)
    return found


def _longest_module(parts: list[str]) -> tuple[ModuleType, list[str]]:
    """The module that as many parts of a name as possible lead to, and the other parts."""
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            return _imported(lambda name=name: importlib.import_module(name), name), parts[end:]
        except ModuleNotFoundError as error:
            prefixes = {".".join(parts[:n]) for n in range(1, end + 1)}
            if error.name not in prefixes:
                raise LayoutError(f"importing {name} needs {error.name!r}, which is not installed") from error
    there = [path.stem for path in Path(sys.path[0] or ".").glob("*.py")]
    raise NotFoundError(f"there is no module {parts[0]!r}{nearest(parts[0], there)}")


def _imported(load: Any, what: str) -> Any:
    """Import, and say in one line what the user's code raised."""
    try:
        return load()
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, SyntaxError) else f" ({Path(last.filename).name}, line {last.lineno})"
        raise LayoutError(f"importing {what} raised {type(error).__name__}: {error}{where}") from error
