"""mimoCoRB2 on labdaq's rings: its workers under their own names.

`labdaq run` takes its suites as they are: in their workers ``import mimocorb2`` means this package. The classes can
be had from here, too: ``from labdaq.compat.mimocorb2 import Importer``.

`mimo_worker`       what a worker is given: its buffers, its settings, its folders
`mimo_buffer`       reading, writing and observing a buffer
`worker_templates`  Importer, Exporter, Filter, Processor, Observer, IsAlive; from `base`, `importing`, `reading`,
                    `filtering`
`functions`         what mimoCoRB2 brings along
`mimo_file`         its files of events
`calling`           how a function is called
`control`           a whole suite from its file

How they differ: what is in the buffers at the end is processed, whoever ends first; a worker that raises ends the
run, and its event goes to another one; observers take copies and take nothing away; what a worker did not write
into a slot is 0, and not an older event.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "BufferIO",
    "Control",
    "Exporter",
    "Filter",
    "Importer",
    "IsAlive",
    "Observer",
    "Processor",
    "SetupError",
    "UfuncError",
]

_HOMES = {"BufferIO": "mimo_worker", "Control": "control"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"labdaq.compat.mimocorb2 has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"labdaq.compat.mimocorb2.{_HOMES.get(name, 'worker_templates')}"), name)
