"""labdaq: a data-acquisition laboratory in a notebook.

The house, from the ground up; imports go down only:

- `errors`   the whole vocabulary of errors
- `native`   the only place that calls below Python: atomics, memory maps, compile cache
- `ring`     the engine: rings that threads and processes share, their readers and observers
- `kernels`  numerics, one concept a file        - `files`  each file format, read and written once
- `store`    scans that are kept: found again, and followed while they grow
- `sim`      simulated instruments, seeded       - `demos`  whole experiments, from data to result
- `testing`  the contract tests and leak checks that labdaq runs on itself, for your own plug-ins
- `cli`      the command `labdaq`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labdaq import errors, files, kernels, ring, sim, store, testing
    from labdaq.ring import Ring
    from labdaq.store import DataStore, open_scan

__version__ = "0.1.0"

__all__ = [
    "DataStore",
    "Ring",
    "__version__",
    "errors",
    "files",
    "kernels",
    "open_scan",
    "ring",
    "sim",
    "store",
    "testing",
]

# The public names and where they live. Each is imported when it is first asked for, because the rooms
# behind them bring numba and others with them, and `import labdaq` has to stay quick.
_HOMES = {"Ring": "labdaq.ring", "DataStore": "labdaq.store", "open_scan": "labdaq.store"}
_ROOMS = {"errors", "files", "kernels", "ring", "sim", "store", "testing"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"labdaq.{name}")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"labdaq has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
