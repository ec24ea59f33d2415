"""Files of PSRDADA: a header of text, 4096 bytes or a multiple, and samples behind it (``.dada``).

Source: W. van Straten, A. Jameson, S. Osłowski, "PSRDADA: Distributed Acquisition and Data Analysis for Radio
Astronomy", ascl:2110.003; https://psrdada.sourceforge.net.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.files.frames import FrameFile, number_of, tensor_of
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import PathLike, check_free

if TYPE_CHECKING:
    from labdaq.ring import Tensor

__all__ = ["DadaFile", "write_dada"]

_HEADER = 4096
_MOST = 1 << 20
_REAL = {1: "uint1", 2: "uint2", 4: "int4", 8: "int8", 16: "int16", 32: "float32"}
_COMPLEX = {2: "ci2", 4: "ci4", 8: "ci8", 16: "ci16", 32: "cf32"}
_ORDERS = {
    "TFP": ("freq", "pol"),
    "TPF": ("pol", "freq"),
    "TF": ("freq", "pol"),
    "TP": ("freq", "pol"),
    "T": ("freq", "pol"),
}


class DadaFile(FrameFile):
    """A file of PSRDADA. A frame is what was sampled at one time, ``(channel, polarisation)``.

    ``header`` has the keywords of the file, numbers as numbers: ``TSAMP`` (µs), ``FREQ`` and ``BW`` (MHz), ``SOURCE`` …

    Parameters
    ----------
    path
        The file. Samples in an ORDER other than TFP or TPF are refused.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sky.dada"
    >>> samples = np.zeros((100, 4, 2), [("re", "i1"), ("im", "i1")])
    >>> write_dada(path, samples, {"TSAMP": 1.0, "UTC_START": "2026-01-01-00:00:00", "SOURCE": "B0833-45"})
    >>> with DadaFile(path) as file:
    ...     file, file.header["SOURCE"]
    (<a PSRDADA file: sky.dada, 100 frames of ci8(4, 2)>, 'B0833-45')
    """

    kind = "a PSRDADA file"

    def _open(self) -> None:
        header = _parse(self._read_at(0, _HEADER))
        if "HDR_SIZE" not in header or "NBIT" not in header:
            raise DataError(f"{self.path} is no PSRDADA file: its first {_HEADER} bytes do not say HDR_SIZE and NBIT")
        self._offset = number_of(header, "HDR_SIZE", most=_MOST)
        header = _parse(self._read_at(0, self._offset))
        tensor = _tensor(header)
        nframe, self.trailing = divmod(max(0, self._size - self._offset), tensor.frame_nbytes)
        frame_ns = float(header["TSAMP"]) * 1e3
        before = int(header.get("OBS_OFFSET", 0)) / tensor.frame_nbytes
        self._add(header, tensor, _start_ns(header) + round(before * frame_ns), frame_ns, nframe)

    def _fill(self, begin: int, out: npt.NDArray[Any]) -> None:
        self._read_into(self._offset + begin * self.stretches[0].tensor.frame_nbytes, out)


def _parse(raw: bytes) -> dict[str, Any]:
    """Keywords and values, line by line; ``#`` begins a comment."""
    found: dict[str, Any] = {}
    for line in raw.split(b"\0")[0].decode("latin-1").splitlines():
        key, _, value = line.partition("#")[0].strip().partition(" ")
        if key:
            found[key] = _number(value.strip())
    return found


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _tensor(header: Mapping[str, Any]) -> "Tensor":
    bits, dims = abs(header["NBIT"]), number_of(header, "NDIM", 1, most=2)
    dtype = (_COMPLEX if dims == 2 else _REAL).get(bits)
    order = str(header.get("ORDER", "TFP"))
    if dtype is None or order not in _ORDERS:
        raise DataError(
            f"samples of {bits} bits, {dims} numbers each, in order {order}: 1 to 32 bits, 1 or 2 numbers, and orders "
            f"{', '.join(_ORDERS)} can be read"
        )
    sizes = {"freq": number_of(header, "NCHAN", 1), "pol": number_of(header, "NPOL", 1, most=64)}
    labels = _ORDERS[order]
    return tensor_of(dtype, shape=tuple(sizes[label] for label in labels), labels=labels)


def _start_ns(header: Mapping[str, Any]) -> int:
    """UTC_START, such as ``2026-01-31-12:00:00.5``, and PICOSECONDS beyond it; 0 when it is not said."""
    text = str(header.get("UTC_START", ""))
    if not text or text == "UNKNOWN":
        return 0
    whole, _, fraction = text.partition(".")
    start = dt.datetime.strptime(whole, "%Y-%m-%d-%H:%M:%S").replace(tzinfo=dt.UTC)
    nanoseconds = round(float(f"0.{fraction or 0}") * 1e9) + int(header.get("PICOSECONDS", 0)) // 1000
    return int(start.timestamp()) * 10**9 + nanoseconds


def write_dada(path: PathLike, data: npt.ArrayLike, header: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write samples to a file, which gets its name when it is complete.

    Parameters
    ----------
    path
        The file.
    data : array_like
        ``(time, channel, pol)``: int8, int16, float32, complex64, or records of ``re`` and ``im`` of int8 or int16.
    header
        Keywords and values: at least ``TSAMP`` (µs). ``NBIT``, ``NDIM``, ``NCHAN``, ``NPOL``, ``ORDER`` and
        ``HDR_SIZE`` follow from the data.
    overwrite
        Replace an existing file; without it that is an error.

    Raises
    ------
    LayoutError
        When data or header do not fit.
    ResourceError
        If the file exists, or the system refuses to write it. Nothing is left then.
    """
    array = np.asarray(data)
    part = array.dtype["re"] if array.dtype.names == ("re", "im") else array.dtype
    dims = 2 if array.dtype.names or part.kind == "c" else 1
    bits = part.itemsize * 8 // (2 if part.kind == "c" else 1)
    if array.ndim != 3 or part.str[1:] not in ("i1", "i2", "f4", "c8"):
        raise LayoutError(f"data of {array.dtype}{array.shape}: (time, channel, pol) of 8, 16 or 32 bits is needed")
    known = {"HDR_VERSION": 1.0, "HDR_SIZE": _HEADER, "NBIT": bits, "NDIM": dims, "ORDER": "TFP"}
    said = {**header, **known, "NCHAN": array.shape[1], "NPOL": array.shape[2]}
    lines = "".join(f"{key} {value}\n" for key, value in said.items())
    if len(lines) >= _HEADER or not lines.isascii() or lines.count("\n") != len(said) or "#" in lines:
        raise LayoutError(
            f"the header takes {len(lines)} bytes: less than {_HEADER} of plain text, a line for each key"
        )
    file = Path(path)
    check_free(file, overwrite=overwrite)
    try:
        with part_of(file).open("wb") as opened:
            opened.write(lines.encode("ascii").ljust(_HEADER, b"\0"))
            opened.write(np.ascontiguousarray(array).tobytes())
    except OSError as error:
        discard(file)
        raise ResourceError.of(error, "writing the file", file) from error
    put_in_place(file, overwrite=overwrite)
