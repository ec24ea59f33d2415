# ruff: noqa: ARG001 - all functions of a suite take the same arguments
"""Save what was found."""

from typing import Any

from labdaq.compat.mimocorb.buffer_control import rb_toParquetfile, rb_toTxtfile


def save_to_txt(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Records, as a table of text."""
    rb_toTxtfile(source_list, config_dict, **rb_info)()


def save_parquet(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Waveforms, as an archive of Parquet files."""
    rb_toParquetfile(source_list, config_dict, **rb_info)()
