"""Scans that are kept: what was measured, what was said about it, found again and followed while it grows.

`store`      DataStore: scans are made, found and deleted  `scan`      one acquisition, its states and streams
`stream`     points that are appended, read by index       `cursor`    reading heads that follow streams
`recording`  rings are kept: recorded with one line        `upkeep`    finding damage, repairing
`retention`  making room                                   `statistics` what became of what was sent
`encoding`   how points become bytes                       `identity`  by which fields scans are found
`slicing`    what an index means                           `keys`      keys and time tags
`pictures`   how a notebook shows all this                 `exchange`  scans for other programs

`engine` says what a store asks of the engine that keeps it, of which there are three: `embedded` (files), `memory`,
and `redis`.
"""

from labdaq.errors import (
    EndOfStream,
    IndexNoMoreThereError,
    IndexNotYetThereError,
    IndexWontBeThereError,
    NoScanAvailable,
    NoWritePermission,
    ScanNotFoundError,
    StateError,
)
from labdaq.store.cursor import Cursor, CursorGroup
from labdaq.store.encoding import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.recording import Recording, kept_sequences, record
from labdaq.store.scan import Scan
from labdaq.store.states import ScanState
from labdaq.store.store import DataStore, default_url, open_scan
from labdaq.store.stream import Stream

__all__ = [
    "Cursor",
    "CursorGroup",
    "DataStore",
    "EndOfStream",
    "IndexNoMoreThereError",
    "IndexNotYetThereError",
    "IndexWontBeThereError",
    "JsonStreamEncoder",
    "NoScanAvailable",
    "NoWritePermission",
    "NumericStreamEncoder",
    "Recording",
    "Scan",
    "ScanNotFoundError",
    "ScanState",
    "StateError",
    "Stream",
    "default_url",
    "kept_sequences",
    "open_scan",
    "record",
]
