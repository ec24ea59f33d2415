"""Compiled functions: numba without the GIL, cached across processes, never stale.

Numba alone keys a cached function by the file it stands in, so a change of a callee in another file is
served stale machine code, and a read-only installation without a home folder cannot even be imported.
Here the key is a hash of all sources of the package and of numba's version, and the cache lies in a
folder that can be written: ``$LABDAQ_CACHE``, the user's cache folder, or a private temporary one.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numba
from numba.core import caching

__all__ = ["cache_folder", "inlined", "jit"]

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = Path(__file__).resolve().parent.parent
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
def sources_key() -> str:
    """Hash of every source file of the package and of numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path:
    """Where the machine code of this version of the sources is kept.

    Returns
    -------
    pathlib.Path
        ``$LABDAQ_CACHE/<key>`` when that variable is set, else a folder under the user's cache folder,
        else a private temporary folder which lasts as long as this process.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    places = [Path(os.environ["LABDAQ_CACHE"])] if "LABDAQ_CACHE" in os.environ else []
    with contextlib.suppress(RuntimeError):  # a user without a home
        places.append(_user_cache() / "labdaq")
    places.append(Path(tempfile.gettempdir()) / f"labdaq-cache-{user}")
    for place in places:
        folder = place / sources_key()
        is_new = not folder.exists()
        if _is_private_and_writable(folder):
            if is_new:
                _forget_old_versions(place)
            return folder
    mine = Path(tempfile.mkdtemp(prefix="labdaq-cache-"))
    atexit.register(_remove, mine, os.getpid())
    return mine


def _remove(folder: Path, pid: int) -> None:
    if pid == os.getpid():  # a forked child does not take it from its parent
        shutil.rmtree(folder, ignore_errors=True)


def _forget_old_versions(place: Path) -> None:
    versions = sorted((p for p in place.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for old in versions[:-_KEPT_VERSIONS]:
        shutil.rmtree(old, ignore_errors=True)


class _SourcesLocator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba where the cache of labdaq's own functions is, and when it is valid."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        place = f"{Path(file).resolve().relative_to(_PACKAGE)}:{function.__code__.co_firstlineno}"
        self._name = hashlib.sha256(place.encode()).hexdigest()[:12]

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return sources_key()

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "_SourcesLocator | None":
        is_ours = _PACKAGE in Path(file).resolve().parents
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
