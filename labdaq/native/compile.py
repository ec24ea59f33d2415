"""Compiled functions: numba without the GIL, cached across processes, never stale.

Numba alone keys a cached function by the file it stands in, so a change of a callee in another file is
served stale machine code, and a read-only installation without a home folder cannot even be imported.
Here the key is a hash of the module's source, of those of all modules of the package that it imports, and of
numba's version; and the cache lies in a folder that can be written: ``$LABDAQ_CACHE``, the user's cache folder,
or a private temporary one.
"""

import atexit
import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numba
from numba.core import caching

from labdaq.native.sources import PACKAGE, module_of, sources_key

__all__ = ["cache_folder", "inlined", "jit"]

Function = TypeVar("Function", bound=Callable[..., Any])

_KEPT_VERSIONS = 8


def _user_cache() -> Path:
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    home = Path("~").expanduser()
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


def _is_private_and_writable(folder: Path) -> bool:
    """Machine code is loaded from here, so nobody else may be able to put any there."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return False
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@functools.cache
def cache_folder() -> Path:
    """Where machine code is kept: in a folder for each version of each module.

    Returns
    -------
    pathlib.Path
        ``$LABDAQ_CACHE`` when that variable is set, else a folder under the user's cache folder,
        else a private temporary folder which lasts as long as this process.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    places = [Path(os.environ["LABDAQ_CACHE"])] if "LABDAQ_CACHE" in os.environ else []
    with contextlib.suppress(RuntimeError):  # a user without a home
        places.append(_user_cache() / "labdaq")
    places.append(Path(tempfile.gettempdir()) / f"labdaq-cache-{user}")
    for place in places:
        if _is_private_and_writable(place / "code"):
            return place / "code"
    mine = Path(tempfile.mkdtemp(prefix="labdaq-cache-"))
    atexit.register(_remove, mine, os.getpid())
    return mine


def _remove(folder: Path, pid: int) -> None:
    if pid == os.getpid():  # a forked child does not take it from its parent
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _module_folder(file: Path) -> Path:
    """Where the machine code of a module, as it is now, is kept."""
    module = module_of(file)
    folder = cache_folder() / f"{module}-{sources_key(file)}"
    if not folder.exists():
        with contextlib.suppress(OSError):  # a full disk: numba does without, and says so
            folder.mkdir(mode=0o700, exist_ok=True)
        _forget_old_versions(module)
    return folder


def _forget_old_versions(module: str) -> None:
    # Another process may forget the same ones, or make a new one, at the same time.
    versions = [path for path in cache_folder().glob(f"{module}-*") if path.is_dir()]
    times = {}
    for path in versions:
        with contextlib.suppress(OSError):
            times[path] = path.stat().st_mtime
    for old in sorted(times, key=lambda path: times[path])[:-_KEPT_VERSIONS]:
        shutil.rmtree(old, ignore_errors=True)


class _SourcesLocator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba where the cache of labdaq's own functions is, and when it is valid."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._file = Path(file).resolve()
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(_module_folder(self._file))

    def get_source_stamp(self) -> str:
        return sources_key(self._file)

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "_SourcesLocator | None":
        is_ours = PACKAGE in Path(file).resolve().parents
        return cls(function, file) if is_ours else None


# The list is not public in numba. Where it is gone, functions are compiled in every process: slow, not stale.
# Fault points hold addresses of this process, so code with faults in it is not kept either.
_CAN_CACHE = (
    isinstance(getattr(caching.CacheImpl, "_locator_classes", None), list) and "LABDAQ_FAULTS" not in os.environ
)
if _CAN_CACHE and not any(c.__name__ == "_SourcesLocator" for c in caching.CacheImpl._locator_classes):
    caching.CacheImpl._locator_classes.insert(0, _SourcesLocator)


@overload
def jit(function: Function) -> Function: ...
@overload
def jit(**options: Any) -> Callable[[Function], Function]: ...
def jit(function: Any = None, **options: Any) -> Any:
    """Compile a function of the package at its first call, to run without the GIL.

    Parameters
    ----------
    function
        A function in numba's nopython language.
    **options
        Passed to :func:`numba.njit`, over ``nogil=True, cache=True, error_model="numpy"``.

    Returns
    -------
    callable
        The numba dispatcher. A second process loads the machine code from the cache.

    Examples
    --------
    >>> from labdaq.native import jit
    >>> @jit(cache=False)
    ... def twice(x):
    ...     return 2 * x
    >>> twice(21)
    42
    """
    settings = {"nogil": True, "cache": _CAN_CACHE, "error_model": "numpy", **options}
    if function is None:
        return functools.partial(jit, **options)
    return cast(Callable[..., Any], numba.njit(**settings)(function))


def inlined(function: Function) -> Function:
    """Like :func:`jit`, and made a part of every compiled function that calls it: for the steps of data flow.

    A call costs a few ns, which is a tenth of what such a step takes altogether.
    """
    return jit(forceinline=True)(function)
