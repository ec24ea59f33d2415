"""What the display functions of a suite show, as labdaq's live plots.

The functions themselves run in processes that have no page. Their settings say what they would draw.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from labdaq.compat.mimocorb.suite import Function, Suite
from labdaq.pipeline.declared import DeclaredRing
from labdaq.ring import Ring

__all__ = ["dashboard_of", "has_page", "histograms_of", "plots_of", "scope_of", "show"]

_MOST_HISTOGRAMS = 12


def has_page() -> bool:
    """Whether this process is the kernel of a notebook, so that what is shown will be seen.

    Examples
    --------
    >>> has_page()
    False
    """
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and getattr(running, "kernel", None) is not None


def show(view: Any) -> None:
    """Show something below the cell that is being executed."""
    importlib.import_module("IPython.display").display(view)


def plots_of(suite: Suite, rings: Mapping[str, DeclaredRing]) -> list[Any]:
    """Live plots for all display functions of a suite; empty where it has none.

    Functions that observe a buffer of waveforms get an oscilloscope, those with ``histograms`` or ``bins`` in their
    settings get these histograms.
    """
    found: list[Any] = []
    for function in suite.functions:
        if function.processes:
            found += _scopes(function, rings)
            found += _histograms(function, rings)
    return found


def _scopes(function: Function, rings: Mapping[str, DeclaredRing]) -> Iterator[Any]:
    for name in function.buffers("observe"):
        ring = rings[name]
        if ring.shape[-1] > 1:
            if isinstance(step := function.config.get("sample_time_ns"), int | float):
                ring.header |= {"sample_interval_ns": step, "unit": "mV"}
            yield scope_of(ring, function.config)


def scope_of(ring: Ring | DeclaredRing, config: Mapping[str, Any]) -> Any:
    """An oscilloscope with the ``channels`` of the settings; all by default."""
    from labdaq.widgets import scope

    channels = config.get("channels")
    return scope(ring, channels=channels if isinstance(channels, list) else None)


def _histograms(function: Function, rings: Mapping[str, DeclaredRing]) -> list[Any]:
    wanted = function.config.get("histograms") or function.config.get("bins")
    buffers = function.buffers("read") or function.buffers("observe")
    return histograms_of(rings[buffers[0]], wanted) if isinstance(wanted, dict) and buffers else []


def histograms_of(ring: Ring | DeclaredRing, wanted: Mapping[str, Any]) -> list[Any]:
    """Histograms as ``{field: [min, max, nbins, ymax, label, 0 or 1 (log)]}`` says; mimoCoRB2 has the first three."""
    from labdaq.widgets import histogram

    found = []
    for field, given in list(wanted.items())[:_MOST_HISTOGRAMS]:
        if field in (ring.dtype.names or ()) and isinstance(given, list | tuple) and len(given) >= 3:
            low, high, bins, *rest = given
            is_log = len(rest) >= 3 and bool(rest[2])
            found.append(histogram(ring, str(field), bins=int(bins), limits=(float(low), float(high)), log=is_log))
    return found


def dashboard_of(suite: Any, plots: list[Any]) -> Any:
    """The panel of a suite, with these plots and its rates."""
    from labdaq.widgets import dashboard, rates

    return dashboard(suite, [*plots, rates(suite)])
