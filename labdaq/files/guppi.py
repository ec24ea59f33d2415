"""GUPPI RAW files: blocks of channelised voltages, each behind a header of cards like those of FITS (``.raw``).

Successive blocks may share some samples (``OVERLAP``), which are given once. Blocks that were lost show in ``PKTIDX``:
after a gap a new stretch begins.

Sources: the header of GUPPI, https://safe.nrao.edu/wiki/pub/Main/JoeBrandt/guppi_status_header.pdf; M. Lebofsky et al.,
"The Breakthrough Listen Search for Intelligent Life: Public Data, Formats, Reduction and Archiving", PASP 131 (2019).
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.files.frames import FrameFile, mjd_to_ns, number_of, tensor_of
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import PathLike, check_free

__all__ = ["GuppiFile", "write_guppi"]

_CARD = 80
_MOST_CARDS = 1024
_MOST_BLOCKS = 1 << 20
_TYPES = {2: "ci2", 4: "ci4", 8: "ci8", 16: "ci16"}
_SETUP = ("OBSNCHAN", "NPOL", "NBITS", "BLOCSIZE", "OVERLAP", "OBSFREQ", "OBSBW", "TBIN", "SRC_NAME")


class _Block(NamedTuple):
    header: dict[str, Any]
    offset: int
    """Of its samples."""
    samples: int
    """Of each channel, the overlap included."""


class GuppiFile(FrameFile):
    """A GUPPI RAW file. A frame is a block, ``(channel, time, polarisation)`` of complex numbers, without overlap.

    ``header`` has the cards of the first block: ``OBSFREQ`` and ``OBSBW`` (MHz), ``TBIN`` (seconds), ``SRC_NAME`` …

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sky.raw"
    >>> voltages = np.zeros((3, 4, 100, 2), [("re", "i1"), ("im", "i1")])
    >>> write_guppi(path, voltages, {"TBIN": 1e-6, "OBSFREQ": 1500.0, "OBSBW": 4.0})
    >>> with GuppiFile(path) as file:
    ...     file, file.read(1, 1).shape
    (<a GUPPI RAW file: sky.raw, 3 frames of ci8(4, 100, 2)>, (1, 4, 100, 2))
    """

    kind = "a GUPPI RAW file"

    def _open(self) -> None:
        self._blocks = self._scan()
        step = _commonest_step([block.header.get("PKTIDX") for block in self._blocks])
        first = 0
        for i in range(1, len(self._blocks) + 1):
            if i == len(self._blocks) or not _goes_on(self._blocks[i - 1].header, self._blocks[i].header, step):
                self._add_run(first, i, step)
                first = i

    def _scan(self) -> list[_Block]:
        """All whole blocks."""
        found: list[_Block] = []
        at = 0
        while at < self._size and len(found) < _MOST_BLOCKS:
            header, offset = self._header_at(at, is_first=not found)
            nbytes = number_of(header, "BLOCSIZE", most=1 << 31) if header else 0
            if not header or offset + nbytes > self._size:
                break
            found.append(_Block(header, offset, _samples(header, nbytes)))
            at = offset + nbytes
        self.trailing = self._size - at
        return found

    def _header_at(self, at: int, *, is_first: bool) -> tuple[dict[str, Any], int]:
        """The cards of a block, and where its samples begin; none where the file ends within them."""
        raw = self._read_at(at, _CARD * _MOST_CARDS)
        cards: dict[str, Any] = {}
        for number in range(len(raw) // _CARD):
            card = raw[number * _CARD : (number + 1) * _CARD].decode("latin-1")
            if card.startswith("END") and not card[3:].strip():
                end = at + (number + 1) * _CARD
                return cards, -(-end // 512) * 512 if cards.get("DIRECTIO") else end
            if card[8:9] != "=":
                break
            cards[card[:8].strip()] = _value(card[9:])
        if is_first or len(raw) == _CARD * _MOST_CARDS:
            raise DataError(f"{self.path}: no cards that end with END at byte {at}")
        return {}, at

    def _add_run(self, begin: int, end: int, step: int) -> None:
        header, _, samples = self._blocks[begin]
        kept = samples - int(header.get("OVERLAP", 0))
        shape = (number_of(header, "OBSNCHAN"), kept, _polarisations(header))
        labels = ("freq", "time", "pol")
        tensor = tensor_of(_TYPES[header["NBITS"]], shape=shape, labels=labels)
        frame_ns = kept * float(header["TBIN"]) * 1e9
        start_ns = (
            mjd_to_ns(header["STT_IMJD"], header.get("STT_SMJD", 0) + header.get("STT_OFFS", 0.0))
            if (header.get("STT_IMJD"))
            else 0
        )
        before = header.get("PKTIDX", 0) / step if step else 0
        self._add(header, tensor, start_ns + round(before * frame_ns), frame_ns, end - begin)

    def _fill(self, begin: int, out: npt.NDArray[Any]) -> None:
        per_byte = 2 if out.dtype == np.uint8 and _bits(self._blocks[begin].header) == 2 else 1
        for i, block in enumerate(self._blocks[begin : begin + len(out)]):
            whole = np.empty((out.shape[1], block.samples, _polarisations(block.header) // per_byte), out.dtype)
            self._read_into(block.offset, whole)
            out[i] = whole[:, : out.shape[2]]


def _value(text: str) -> Any:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].partition("'")[0].strip()
    text = text.partition("/")[0].strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _bits(header: Mapping[str, Any]) -> int:
    bits = header.get("NBITS")
    if bits not in _TYPES:
        raise DataError(f"NBITS = {bits!r} in the header: 2, 4, 8 and 16 can be read")
    return int(bits)


def _polarisations(header: Mapping[str, Any]) -> int:
    """4 stands for the four numbers of two complex polarisations."""
    return 2 if number_of(header, "NPOL", most=4) == 4 else number_of(header, "NPOL", most=2)


def _samples(header: Mapping[str, Any], nbytes: int) -> int:
    bits = number_of(header, "OBSNCHAN") * _polarisations(header) * 2 * _bits(header)
    samples, rest = divmod(nbytes * 8, bits)
    overlap = header.get("OVERLAP", 0)
    if rest or not isinstance(overlap, int) or not 0 <= overlap < samples:
        raise DataError(
            f"a block of {nbytes} bytes with {bits} bits at a time, and an overlap of {overlap!r}, do not fit together"
        )
    return samples


def _commonest_step(numbers: list[Any]) -> int:
    """From PKTIDX to PKTIDX of blocks that follow each other; 0 where it is not said."""
    known = [number for number in numbers if isinstance(number, int)]
    steps = [b - a for a, b in pairwise(known) if b > a]
    return max(set(steps), key=lambda step: (steps.count(step), -step)) if steps else 0


def _goes_on(before: Mapping[str, Any], after: Mapping[str, Any], step: int) -> bool:
    if any(before.get(key) != after.get(key) for key in _SETUP):
        return False
    return not step or after.get("PKTIDX", 0) - before.get("PKTIDX", 0) == step


def write_guppi(path: PathLike, data: npt.ArrayLike, header: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write blocks of voltages to a file, which gets its name when it is complete.

    Parameters
    ----------
    path
        The file.
    data : array_like
        ``(block, channel, time, pol)``: records of ``re`` and ``im`` of int8 or int16, or bytes of ci4. One or two
        polarisations.
    header
        Cards: at least ``TBIN`` (seconds). ``OBSNCHAN``, ``NPOL``, ``NBITS`` and ``BLOCSIZE`` follow from the data;
        ``PKTIDX`` counts blocks from what is given. With ``DIRECTIO=1`` headers are filled up to 512 bytes.
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
    bits = 4 if part == np.uint8 else part.itemsize * 8
    if array.ndim != 4 or part.str[1:] not in ("i1", "i2", "u1") or array.shape[3] not in (1, 2) or not array.size:
        raise LayoutError(
            f"data of {array.dtype}{array.shape}: (block, channel, time, 1 or 2 pols) of ci4, ci8 or ci16"
        )
    shape = {"OBSNCHAN": array.shape[1], "NPOL": 4 if array.shape[3] == 2 else 1, "NBITS": bits}
    said = {**header, **shape, "BLOCSIZE": array[0].nbytes}
    file = Path(path)
    cards = [_cards({**said, "PKTIDX": int(header.get("PKTIDX", 0)) + i}) for i in range(len(array))]
    check_free(file, overwrite=overwrite)
    try:
        with part_of(file).open("wb") as opened:
            for text, block in zip(cards, array, strict=True):
                opened.write(text)
                if header.get("DIRECTIO"):
                    opened.write(b"\0" * (-opened.tell() % 512))
                opened.write(np.ascontiguousarray(block).tobytes())
    except OSError as error:
        discard(file)
        raise ResourceError.of(error, "writing the file", file) from error
    put_in_place(file, overwrite=overwrite)


def _cards(header: Mapping[str, Any]) -> bytes:
    lines = [f"{key:8}= {repr(value) if isinstance(value, str) else value!s:>20}" for key, value in header.items()]
    wrong = [
        line for line in lines if len(line) > _CARD or line[8] != "=" or not line.isascii() or not line.isprintable()
    ]
    if wrong:
        raise LayoutError(f"{wrong[0]!r} is no card: keys have up to 8 characters, and all is in 80 of plain text")
    return "".join(line.ljust(_CARD) for line in [*lines, "END"]).encode("ascii")
