"""Recordings of telescopes, whichever of the formats they are in: the first bytes say which."""

from pathlib import Path

from labdaq.errors import DataError
from labdaq.files.frames import FrameFile
from labdaq.files.guppi import GuppiFile
from labdaq.files.psrdada import DadaFile
from labdaq.files.sigproc import SigprocFile
from labdaq.files.table import PathLike, reading

__all__ = ["open_frames"]


def open_frames(path: PathLike) -> FrameFile:
    """Open a SIGPROC filterbank, GUPPI RAW or PSRDADA file for reading.

    Raises
    ------
    DataError
        When it is none of them, or damaged.
    ResourceError
        When it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from labdaq.files import write_sigproc
    >>> path = Path(tempfile.mkdtemp()) / "sky.fil"
    >>> write_sigproc(path, np.ones((5, 16), np.float32), {"tsamp": 1e-3, "fch1": 1500.0, "foff": -1.0})
    >>> with open_frames(path) as file:
    ...     file
    <a SIGPROC filterbank file: sky.fil, 5 frames of <f4(1, 16)>
    """
    file = Path(path)
    with reading(file, "a recording of a telescope"), file.open("rb") as opened:
        begin = opened.read(4096)
    if begin[4:16] == b"HEADER_START":
        return SigprocFile(file)
    if b"HDR_SIZE" in begin.split(b"\0")[0]:
        return DadaFile(file)
    if begin[8:9] == b"=":
        return GuppiFile(file)
    raise DataError(f"{file} is neither a SIGPROC filterbank file, nor GUPPI RAW, nor of PSRDADA")
