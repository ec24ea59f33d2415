"""labdaq: a data-acquisition laboratory in a notebook.

The house, from the ground up; imports go down only:

- `errors`   the whole vocabulary of errors
- `native`   the only place that calls below Python: atomics, memory maps, compile cache
- `ring`     the engine: rings that threads and processes share, their readers and observers
- `kernels`  numerics, one concept a file        - `files`  each file format, read and written once
- `roles`    who can be what in a pipeline: sources, filters, sinks, parameters, triggers
- `store`    scans that are kept: found again, and followed while they grow
- `sim`      simulated instruments, seeded       - `devices`  real ones
- `packet`   packets of telescopes: captured, read, written    - `stream`   live samples between machines
- `pipeline` rings and workers, wired and run    - `widgets`  control panel and live plots of a notebook
- `demos`    whole experiments, from data to result
- `testing`  the contract tests and leak checks that labdaq runs on itself, for your own plug-ins
- `cli`      the command `labdaq`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labdaq import (
        devices,
        errors,
        files,
        kernels,
        packet,
        pipeline,
        ring,
        roles,
        sim,
        store,
        stream,
        testing,
        widgets,
    )
    from labdaq.pipeline import (
        Pipeline,
        attach,
        follow_scan,
        open_run,
        publish,
        read_shared,
        record_stream,
        runs,
        shared,
        subscribe,
    )
    from labdaq.ring import Ring, copy
    from labdaq.roles import Parameter, Trigger
    from labdaq.store import DataStore, open_scan
    from labdaq.stream import InputStream, OutputStream, spawn
    from labdaq.widgets import browse, dashboard, histogram, panel, rates, scope, spectrum, waterfall

__version__ = "0.1.0"

__all__ = [
    "DataStore",
    "InputStream",
    "OutputStream",
    "Parameter",
    "Pipeline",
    "Ring",
    "Trigger",
    "__version__",
    "attach",
    "browse",
    "copy",
    "dashboard",
    "devices",
    "errors",
    "files",
    "follow_scan",
    "histogram",
    "kernels",
    "open_run",
    "open_scan",
    "packet",
    "panel",
    "pipeline",
    "publish",
    "rates",
    "read_shared",
    "record_stream",
    "ring",
    "roles",
    "runs",
    "scope",
    "shared",
    "sim",
    "spawn",
    "spectrum",
    "store",
    "stream",
    "subscribe",
    "testing",
    "waterfall",
    "widgets",
]

# The public names and where they live. Each is imported when it is first asked for, because the rooms
# behind them bring numba and others with them, and `import labdaq` has to stay quick.
_HOMES = {
    "DataStore": "labdaq.store",
    "Parameter": "labdaq.roles",
    "Pipeline": "labdaq.pipeline",
    "Ring": "labdaq.ring",
    "copy": "labdaq.ring",
    "Trigger": "labdaq.roles",
    "attach": "labdaq.pipeline",
    "open_run": "labdaq.pipeline",
    "open_scan": "labdaq.store",
    "runs": "labdaq.pipeline",
    "InputStream": "labdaq.stream",
    "OutputStream": "labdaq.stream",
    "spawn": "labdaq.stream",
    **dict.fromkeys(
        ("follow_scan", "publish", "read_shared", "record_stream", "shared", "subscribe"), "labdaq.pipeline"
    ),
    **dict.fromkeys(
        ("browse", "dashboard", "histogram", "panel", "rates", "scope", "spectrum", "waterfall"), "labdaq.widgets"
    ),
}
_ROOMS = {
    *("devices", "errors", "files", "kernels", "packet", "pipeline", "ring", "roles", "sim", "store", "stream"),
    *("testing", "widgets"),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"labdaq.{name}")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"labdaq has no {name!r}; it has {', '.join(__all__)}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext labdaq``: the magic ``%daq status|start|stop|panel`` of :mod:`labdaq.widgets.magics`."""
    import_module("labdaq.widgets.magics").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext labdaq``."""
    import_module("labdaq.widgets.magics").unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
