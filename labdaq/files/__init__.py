"""File formats, each read and written once.

`table`      records with units: what the formats of tables have in common
`csv`        tables as text, appended batch by batch
`parquet`    tables in columns, streamed in row groups
`picocosmo`  recorded waveforms of the picoCosmo experiments
"""

from labdaq.files.csv import CsvFile, read_csv
from labdaq.files.parquet import ParquetFile, read_parquet
from labdaq.files.picocosmo import Recording, find_recordings, read_recording
from labdaq.files.table import Table

__all__ = [
    "CsvFile",
    "ParquetFile",
    "Recording",
    "Table",
    "find_recordings",
    "read_csv",
    "read_parquet",
    "read_recording",
]
