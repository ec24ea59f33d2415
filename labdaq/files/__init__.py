"""File formats, each read and written once.

`table`        records with units: what the formats of tables have in common
`place`        how a file gets to its place: appended in batches, or moved there when it is complete
`csv`          tables as text, appended batch by batch
`dialect`      what tables of text look like: separators, comments, headings
`parquet`      tables in columns, streamed in row groups
`arrow`        tables as Arrow has them, for both kinds of Parquet
`parquet_tar`  events as mimoCoRB saves them: one small Parquet file each, in a tar archive
`hdf5`         named datasets that grow, in HDF5 with the structure of NeXus
`zarr`         the same in a Zarr group
`nexus`        what the two have in common when they write
`datasets`     what they have in common when they read
`columns`      datasets that grow, and what fits in one
`npz`          a few arrays and their metadata, for NumPy
`xdf`          streams of Lab Streaming Layer's recorder; `xdf_writing`, `xdf_chunks` are below it
`picocosmo`    recorded waveforms of the picoCosmo experiments
`frames`       what recordings of telescopes have in common
`sigproc`, `guppi`, `psrdada`, `telescopes`  three kinds of them; the right one by its first bytes
"""

from labdaq.files.csv import CsvFile, read_csv
from labdaq.files.datasets import DatasetInfo, DatasetReader
from labdaq.files.frames import FrameBlock, FrameFile
from labdaq.files.guppi import GuppiFile, write_guppi
from labdaq.files.hdf5 import Hdf5File, Hdf5Reader, list_hdf5, read_hdf5
from labdaq.files.nexus import NexusFile
from labdaq.files.npz import Arrays, read_npz, write_npz
from labdaq.files.parquet import ParquetFile, iterate_parquet, iterate_parquet_part, read_parquet, rows_in_part
from labdaq.files.parquet_tar import ParquetTarFile, TarEvent, read_parquet_tar
from labdaq.files.picocosmo import Recording, find_recordings, read_recording
from labdaq.files.psrdada import DadaFile, write_dada
from labdaq.files.sigproc import SigprocFile, write_sigproc
from labdaq.files.table import Table
from labdaq.files.telescopes import open_frames
from labdaq.files.xdf import XdfFile, XdfStream, read_xdf
from labdaq.files.zarr import ZarrFile, ZarrReader, list_zarr, read_zarr

__all__ = [
    "Arrays",
    "CsvFile",
    "DadaFile",
    "DatasetInfo",
    "DatasetReader",
    "FrameBlock",
    "FrameFile",
    "GuppiFile",
    "Hdf5File",
    "Hdf5Reader",
    "NexusFile",
    "ParquetFile",
    "ParquetTarFile",
    "Recording",
    "SigprocFile",
    "Table",
    "TarEvent",
    "XdfFile",
    "XdfStream",
    "ZarrFile",
    "ZarrReader",
    "find_recordings",
    "iterate_parquet",
    "iterate_parquet_part",
    "list_hdf5",
    "list_zarr",
    "open_frames",
    "read_csv",
    "read_hdf5",
    "read_npz",
    "read_parquet",
    "read_parquet_tar",
    "read_recording",
    "read_xdf",
    "read_zarr",
    "rows_in_part",
    "write_dada",
    "write_guppi",
    "write_npz",
    "write_sigproc",
]
