"""Filterbank files of SIGPROC: spectra one after the other, with powers of 1 to 32 bits (``.fil``).

The header is made of keywords and values in binary. Numbers of less than 8 bits are packed, the first in the lowest
bits: ``labdaq.kernels.unpack(data, "u4", order="little")``.

Source: D. R. Lorimer, *SIGPROC: (Pulsar) Signal Processing Programs*, the manual of version 4, appendix.
"""

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.files.frames import FrameFile, mjd_to_ns, number_of, tensor_of
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import PathLike, check_free

__all__ = ["SigprocFile", "write_sigproc"]

_WHOLE = {
    *("telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits", "nsamples", "nchans", "nifs"),
    *("nbeams", "ibeam", "nbins", "npuls"),
}
_REAL = {
    *("az_start", "za_start", "src_raj", "src_dej", "tstart", "tsamp", "fch1", "foff", "refdm", "period", "fchannel"),
}
_TEXT = {"rawdatafile", "source_name"}
_MOST = 1 << 20  # bytes of a header
_TYPES = {1: "uint1", 2: "uint2", 4: "uint4", 8: "uint8", 16: "uint16", 32: "float32"}
_SIGNED = {8: "int8", 16: "int16"}


class SigprocFile(FrameFile):
    """A filterbank file. A frame is a spectrum, ``(intermediate frequency or polarisation, channel)``.

    ``header`` has the keywords of SIGPROC: ``fch1`` and ``foff`` (MHz) of the first channel and from one to the next,
    ``tsamp`` (seconds), ``tstart`` (MJD), ``source_name`` …

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sky.fil"
    >>> powers = np.arange(24, dtype=np.uint8).reshape(3, 1, 8)
    >>> write_sigproc(path, powers, {"tsamp": 1e-3, "tstart": 60000.0, "fch1": 1500.0, "foff": -1.0})
    >>> with SigprocFile(path) as file:
    ...     file.header["fch1"], file.read(1, 1).tolist()
    (1500.0, [[[8, 9, 10, 11, 12, 13, 14, 15]]])
    """

    kind = "a SIGPROC filterbank file"

    def _open(self) -> None:
        header, self._offset = _parse(self._read_at(0, _MOST), str(self.path))
        if header.get("data_type", 1) not in (0, 1, 2):
            raise DataError(f"{self.path}: data type {header['data_type']} is neither a filterbank nor a time series")
        bits = number_of(header, "nbits", most=32)
        dtype = _SIGNED.get(bits) if header.get("signed") else _TYPES.get(bits)
        if dtype is None:
            raise DataError(f"{self.path}: {bits} bits a number; there are 1, 2, 4, 8, 16 and 32, or 8 and 16 signed")
        shape = (number_of(header, "nifs", 1, most=64), number_of(header, "nchans"))
        scales = (None, [header.get("fch1"), header.get("foff")])
        tensor = tensor_of(dtype, shape=shape, labels=("pol", "freq"), scales=scales, units=(None, "MHz"))
        nframe, self.trailing = divmod(self._size - self._offset, tensor.frame_nbytes)
        start_ns = mjd_to_ns(header["tstart"]) if header.get("tstart") else 0
        self._add(header, tensor, start_ns, header.get("tsamp", math.nan) * 1e9, nframe)

    def _fill(self, begin: int, out: npt.NDArray[Any]) -> None:
        self._read_into(self._offset + begin * self.stretches[0].tensor.frame_nbytes, out)


def _parse(raw: bytes, path: str) -> tuple[dict[str, Any], int]:
    """The header, and where the data begin."""
    if not raw.startswith(_packed_text("HEADER_START")):
        raise DataError(f"{path} is no SIGPROC filterbank file: it does not begin with HEADER_START")
    at, found = 16, {}
    frequencies: list[float] = []
    while True:
        key, at = _text(raw, at, path)
        if key == "HEADER_END":
            break
        if key in ("FREQUENCY_START", "FREQUENCY_END"):
            continue
        value: Any
        if key in _TEXT:
            value, at = _text(raw, at, path)
        else:
            code = "<i" if key in _WHOLE else "<d" if key in _REAL else "<b" if key == "signed" else ""
            if not code:
                raise DataError(
                    f"{path}: keyword {key!r} in the header is none of SIGPROC, and what follows is unknown"
                )
            if at + struct.calcsize(code) > len(raw):
                raise DataError(f"{path} ends, or goes on for too long, within its header")
            (value,) = struct.unpack_from(code, raw, at)
            at += struct.calcsize(code)
            if isinstance(value, float) and not math.isfinite(value):
                raise DataError(f"{path}: {key} = {value} in the header")
        if key == "fchannel":
            frequencies.append(value)
        else:
            found[key] = value
    return (found | {"frequencies_mhz": frequencies} if frequencies else found), at


def _text(raw: bytes, at: int, path: str) -> tuple[str, int]:
    """A text behind its length, and where it ends."""
    if at + 4 > len(raw):
        raise DataError(f"{path} ends, or goes on for too long, within its header")
    (length,) = struct.unpack_from("<i", raw, at)
    end = at + 4 + length
    if not 1 <= length <= 256 or end > len(raw):
        raise DataError(f"{path}: a text of {length} bytes in the header; 1 to 256 make sense")
    return raw[at + 4 : end].decode("latin-1"), end


def _packed_text(text: str) -> bytes:
    return struct.pack("<i", len(text)) + text.encode("latin-1")


def _packed(header: Mapping[str, Any]) -> bytes:
    parts = [_packed_text("HEADER_START")]
    for key, value in header.items():
        if key in _TEXT:
            parts += [_packed_text(key), _packed_text(str(value) or " ")]
        elif key in _WHOLE or key in _REAL or key == "signed":
            parts += [
                _packed_text(key),
                struct.pack("<i" if key in _WHOLE else "<b" if key == "signed" else "<d", value),
            ]
        else:
            raise LayoutError(
                f"{key!r} is no keyword of SIGPROC; there are {', '.join(sorted(_WHOLE | _REAL | _TEXT))}"
            )
    return b"".join([*parts, _packed_text("HEADER_END")])


def write_sigproc(
    path: PathLike, data: npt.ArrayLike, header: Mapping[str, Any], *, nbits: int | None = None, overwrite: bool = False
) -> None:
    """Write spectra to a filterbank file, which gets its name when it is complete.

    Parameters
    ----------
    path
        The file.
    data : array_like
        ``(frame, pol, channel)`` or ``(frame, channel)`` of uint8, uint16 or float32; or int8 and int16, marked as
        signed. Of less than 8 bits, packed bytes.
    header
        Keywords of SIGPROC: at least ``tsamp``. ``nbits``, ``nchans`` and ``nifs`` follow from the data.
    nbits
        1, 2 or 4, of packed bytes.
    overwrite
        Replace an existing file; without it that is an error.

    Raises
    ------
    LayoutError
        When data or a keyword do not fit.
    ResourceError
        If the file exists, or the system refuses to write it. Nothing is left then.
    """
    array = np.asarray(data)
    spectra = array[:, None, :] if array.ndim == 2 else array
    kinds = ("u1", "u2", "i1", "i2", "f4")
    if spectra.ndim != 3 or spectra.dtype.str[1:] not in kinds or (nbits and spectra.dtype != np.uint8):
        raise LayoutError(f"data of {array.dtype}{array.shape}: (frame, pol, channel) of {', '.join(kinds)} is needed")
    if nbits not in (None, 1, 2, 4):
        raise LayoutError(f"nbits={nbits}: 1, 2 or 4, for packed bytes")
    bits = nbits or spectra.dtype.itemsize * 8
    shape = {"nbits": bits, "nifs": spectra.shape[1], "nchans": spectra.shape[2] * (8 // bits if nbits else 1)}
    signed = {"signed": 1} if spectra.dtype.kind == "i" else {}
    try:
        raw = _packed({"data_type": 1, **header, **shape, **signed})
    except (struct.error, UnicodeError) as error:
        raise LayoutError(f"the header cannot be written: {error}") from error
    file = Path(path)
    check_free(file, overwrite=overwrite)
    try:
        with part_of(file).open("wb") as opened:
            opened.write(raw)
            opened.write(np.ascontiguousarray(spectra, spectra.dtype.newbyteorder("<")).tobytes())
    except OSError as error:
        discard(file)
        raise ResourceError.of(error, "writing the file", file) from error
    put_in_place(file, overwrite=overwrite)
