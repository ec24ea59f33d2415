"""Saving events: records as lines of a text file, waveforms as Parquet files in an archive.

A file is opened once, and what has come meanwhile is written together: several processes never write the same.
"""

import tarfile
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_access import Reader
from labdaq.compat.mimocorb.copying import as_records
from labdaq.compat.mimocorb.metadata import metadata_records, table_dtype
from labdaq.compat.mimocorb.roles import output_path, the_buffer
from labdaq.errors import LayoutError
from labdaq.files import CsvFile, ParquetTarFile

__all__ = ["rb_toParquetfile", "rb_toTxtfile"]

_MOST = 256

Array = npt.NDArray[Any]


class rb_toTxtfile:  # noqa: N801
    """Save records as a table of text: ``<filename>.txt``, cells separated by tabs.

    Its columns are ``counter``, ``timestamp`` [s], ``deadtime`` and the fields of the buffer.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer, in a list. Its events have one value each.
    config_dict
        ``directory_prefix`` and ``filename``; ``header_alias``: headings by field.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to read, its events have several values, or a setting is missing.
    """

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        setup = the_buffer(self, "read", source_list, rb_info)
        if setup["values_per_slot"] != 1:
            raise LayoutError(
                f"a table of text takes events of one value, and these have {setup['values_per_slot']}: "
                "use rb_toParquetfile"
            )
        self.filename = str(output_path(self, config_dict, ".txt"))
        self._dtype = table_dtype(as_records(np.empty(0, np.dtype(setup["dtype"]))).dtype)
        alias = (config_dict or {}).get("header_alias") or {}
        titles = {name: str(alias[name]) for name in self._dtype.names or () if name in alias}
        self.source = Reader(setup)
        self._file = CsvFile(self.filename, titles=titles, separator="\t", overwrite=True)
        self._file.write(np.empty(0, self._dtype))

    def __call__(self) -> None:
        """Save events until there are no more.

        Raises
        ------
        SystemExit
            At the end, as the buffers do.
        """
        most = min(_MOST, max(1, self.source.number_of_slots // 2))
        with self._file, self.source:
            while self.source._active.is_set():
                events = self.source.get_batch(most)
                self._file.write(self._rows(metadata_records(events.planes, len(events)), events.data[:, 0]))

    def _rows(self, metadata: Array, values: Array) -> Array:
        rows = np.empty(len(metadata), self._dtype)
        for part in (metadata, as_records(values)):
            for name in part.dtype.names or ():
                rows[name] = part[name]
        return rows


class rb_toParquetfile:  # noqa: N801
    """Save waveforms: ``<filename>.tar``, with a file ``<filename>_<counter>.parquet`` for each event.

    The columns are the fields of the buffer; time stamps and dead times are not kept.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer, in a list.
    config_dict
        ``directory_prefix`` and ``filename``.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to read, or a setting is missing.
    MissingExtraError
        When pyarrow is not installed.
    """

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        setup = the_buffer(self, "read", source_list, rb_info)
        path = output_path(self, config_dict, ".tar")
        self.filename: str = path.stem
        self._file = ParquetTarFile(path, overwrite=True)
        self._written = 0
        self.source = Reader(setup)

    def __call__(self) -> None:
        """Save events until there are no more.

        Raises
        ------
        SystemExit
            At the end, as the buffers do.
        """
        try:
            with self._file, self.source:
                while self.source._active.is_set():
                    data = self.source.get()
                    self._file.write(as_records(data), self.source.get_metadata()[0])
                    self._written += 1
        finally:
            if not self._written:
                tarfile.open(self._file.path, "w").close()
