"""The classes of v1's ``buffer_control``, under one roof as there."""

from labdaq.compat.mimocorb import mimo_buffer as bm
from labdaq.compat.mimocorb.control import buffer_control
from labdaq.compat.mimocorb.daq import run_mimoDAQ
from labdaq.compat.mimocorb.exporters import rbDrain, rbExport
from labdaq.compat.mimocorb.filters import rbProcess, rbTransfer
from labdaq.compat.mimocorb.importers import rbImport, rbPut
from labdaq.compat.mimocorb.observers import rbObserver, rbWSObserver
from labdaq.compat.mimocorb.savers import rb_toParquetfile, rb_toTxtfile

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
