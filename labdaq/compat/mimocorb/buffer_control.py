"""The classes of v1's ``buffer_control``, under one roof as there."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.exporters import rbDrain, rbExport
from labdaq.compat.mimocorb.filters import rbProcess, rbTransfer
from labdaq.compat.mimocorb.importers import rbImport, rbPut
from labdaq.compat.mimocorb.observers import rbObserver, rbWSObserver
from labdaq.compat.mimocorb.savers import rb_toParquetfile, rb_toTxtfile

if TYPE_CHECKING:
    from labdaq.compat.mimocorb.control import buffer_control
    from labdaq.compat.mimocorb.daq import run_mimoDAQ

__all__ = [
    "bm",
    "buffer_control",
    "rbDrain",
    "rbExport",
    "rbImport",
    "rbObserver",
    "rbProcess",
    "rbPut",
    "rbTransfer",
    "rbWSObserver",
    "rb_toParquetfile",
    "rb_toTxtfile",
    "run_mimoDAQ",
]

_HOMES = {"buffer_control": "control", "run_mimoDAQ": "daq"}


def __getattr__(name: str) -> Any:
    """What leads a suite, which the modules of its users import beside the rest and never need."""
    if name not in _HOMES:
        raise AttributeError(f"buffer_control has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"labdaq.compat.mimocorb.{_HOMES[name]}"), name)
