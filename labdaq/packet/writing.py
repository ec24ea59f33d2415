"""Writing packets: headers from a few values, payloads from an array."""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet.capture import checked_core, pinned
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats import find_format
from labdaq.ring import Tensor

__all__ = ["DiskWriter", "HeaderInfo", "Outgoing", "PacketWriter"]


@dataclass
class HeaderInfo:
    """What headers say beside sequence number and source; each format takes what it has a field for.

    Values are set as attributes, or by ``set_<name>(value)``.

    Examples
    --------
    >>> desc = HeaderInfo(gain=20)
    >>> desc.set_tuning(832697741)
    >>> desc.tuning, desc.gain
    (832697741, 20)
    """

    nsrc: int = 1
    """Sources altogether."""
    nchan: int = 1
    chan0: int = 0
    """The first channel of all."""
    tuning: int = 0
    gain: int = 0
    decimation: int = 1
    """For VDIF, frames per second."""
    server: int = 0
    """0: as the source says."""
    nserver: int = 0
    navg: int = 0
    """0: `decimation`."""
    npol: int = 0
    npol_tot: int = 0
    nchan_tot: int = 0
    sync_time: int = 0
    ref_epoch: int = 0
    station: int = 0
    nbit: int = 8
    is_complex: int = 1

    def __getattr__(self, name: str) -> Any:
        if name.removeprefix("set_") not in _INFO or not name.startswith("set_"):
            raise AttributeError(f"headers have no {name!r}; they have {', '.join(_INFO)}")
        return lambda value: setattr(self, name.removeprefix("set_"), value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _INFO:
            raise AttributeError(f"headers have no {name!r}; they have {', '.join(_INFO)}")
        if int(value) != value or value < 0:
            raise LayoutError(f"{name}={value!r}: headers hold whole numbers from 0 up")
        object.__setattr__(self, name, int(value))


_INFO = dict.fromkeys(field.name for field in fields(HeaderInfo))  # looked up for every header that is sent


@dataclass(frozen=True)
class Outgoing:
    """What the ``fill`` of a format is given: numbers that NumPy broadcasts to (packet, source)."""

    seq: NDArray[np.int64]
    """Of each packet, a column."""
    src: NDArray[np.int64]
    """Of each source, a row."""
    frame: NDArray[np.int64]
    """Packets sent before, a column."""
    nbytes: int
    """Of a payload."""
    number: int | None
    """Of a name such as ``chips_132``."""
    info: HeaderInfo


class PacketWriter(ABC):
    """Makes packets of an array; files and networks differ in :meth:`_put` only.

    Parameters
    ----------
    packet_format
        A name such as ``tbn`` or ``chips_132``, or a :class:`PacketFormat` that has ``fill``.
    core
        The core that a thread runs on while it is in :meth:`send`; it goes back to where it was.
    """

    _part_nbytes = 1 << 20  # what is made of such a part stays in the cache of a core

    def __init__(self, packet_format: str | PacketFormat, core: int | None = None) -> None:
        self.format = find_format(packet_format)
        if self.format.fill is None:
            raise LayoutError(f"format {self.format.name!r} has no fill: it can be read and not written")
        self._core = checked_core(core)
        self._using = threading.Lock()
        self._frame = 0
        kept = [(name, np.int64 if self.format.header[name].kind in "iu" else self.format.header[name])
                for name in self.format.header.names or ()]  # fmt: skip
        self._wide = np.dtype(kept)
        self._samples = Tensor.parse({"dtype": self.format.samples, "shape": (8,)}).stored_dtype

    def send(
        self, info: HeaderInfo, seq: int, seq_increment: int, src: int, src_increment: int, data: NDArray[Any]
    ) -> int:
        """Write packets: ``(i, j)`` has number ``seq + i * seq_increment`` and source ``src + j * src_increment``.

        Parameters
        ----------
        info
            What all headers have in common.
        seq, seq_increment, src, src_increment
            Numbers, as readers get them.
        data
            ``(packet, source, sample)`` of the format's type of samples; they go out in this order.

        Returns
        -------
        int
            Packets written.

        Raises
        ------
        LayoutError
            When dtype or shape do not fit, or a number does not fit into its field. Nothing was written.
        ResourceError
            When the system refused; the message says how many packets were written.
        """
        payload = self._checked(data)
        first = (int(seq), int(seq_increment), int(src), int(src_increment))
        headers = self._headers(info, first, payload.shape)
        with self._using, pinned(self._core):
            self._write(headers, payload)
            self._frame += payload.shape[0]
        return int(payload.shape[0] * payload.shape[1])

    def _write(self, headers: NDArray[Any], payload: NDArray[np.uint8]) -> None:
        """Part after part."""
        rows, nsrc, nbytes = payload.shape
        size = self.format.header.itemsize + nbytes
        step = max(1, self._part_nbytes // (nsrc * size))
        for begin in range(0, rows, step):
            part = slice(begin, begin + step)
            raw = headers[part].reshape(-1).view(np.uint8).reshape(-1, self.format.header.itemsize)
            self._put(raw, payload[part].reshape(-1, nbytes), begin * nsrc)

    @abstractmethod
    def _put(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], before: int) -> None:
        """Let packets go, of each a row of both; ``before`` were written already."""

    def reset_counter(self) -> None:
        """Count frames from 0 again."""
        self._frame = 0

    def _checked(self, data: NDArray[Any]) -> NDArray[np.uint8]:
        """The payloads as (packet, source, byte)."""
        array = np.ascontiguousarray(data)
        wanted = self._samples
        if array.ndim != 3 or array.size == 0:
            raise LayoutError(f"data of shape {array.shape}: (packet, source, sample) is needed, and some of each")
        if array.dtype != wanted and not (wanted.itemsize == 1 == array.dtype.itemsize and array.dtype.kind in "uV"):
            raise LayoutError(f"data of {array.dtype}: {self.format.name!r} sends {self.format.samples} ({wanted})")
        payload = array.view(np.uint8).reshape(*array.shape[:2], -1)
        nbytes, fixed = payload.shape[2], self.format.payload
        if isinstance(fixed, int) and nbytes != fixed:
            count = fixed // wanted.itemsize
            raise LayoutError(f"{array.shape[2]} samples: a packet of {self.format.full_name!r} has {count}")
        if self.format.unit and nbytes % self.format.unit:
            raise LayoutError(f"payloads of {nbytes} bytes: a channel of {self.format.name!r} has {self.format.unit}")
        return payload

    def _headers(self, info: HeaderInfo, first: tuple[int, int, int, int], shape: tuple[int, ...]) -> NDArray[Any]:
        """Of all packets, every field checked to hold its number."""
        rows, nsrc, nbytes = shape
        seq, seq_increment, src, src_increment = first
        count = np.arange(rows, dtype=np.int64)[:, None]
        out = Outgoing(
            seq + count * seq_increment,
            src + np.arange(nsrc, dtype=np.int64)[None, :] * src_increment,
            self._frame + count,
            nbytes,
            self.format.number,
            info,
        )
        wide = np.zeros((rows, nsrc), self._wide)
        if self.format.fill is not None:
            self.format.fill(wide, out)
        headers = np.zeros((rows, nsrc), self.format.header)
        for name in self.format.header.names or ():
            _check_range(self.format, name, wide[name])
            headers[name] = wide[name]
        return headers


def _check_range(packet_format: PacketFormat, name: str, values: NDArray[Any]) -> None:
    dtype = packet_format.header[name]
    if dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype.newbyteorder("="))
    low, high = int(values.min()), int(values.max())
    if low < limits.min or high > limits.max:
        wrong = low if low < limits.min else high
        raise LayoutError(
            f"{name}={wrong} does not fit into the header of {packet_format.full_name!r}, which holds "
            f"{limits.min} to {limits.max}"
        )


class DiskWriter(PacketWriter):
    """Packets into a file, one after the other.

    Parameters
    ----------
    packet_format, core
        As for :class:`PacketWriter`.
    file
        Open for writing bytes. It stays open.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> samples = np.zeros((3, 2, 512), [("re", "i1"), ("im", "i1")])
    >>> DiskWriter("tbn", file).send(HeaderInfo(gain=20), 0, 512 * 1960, 0, 1, samples)
    6
    >>> len(file.getvalue()) / 1048
    6.0
    """

    def __init__(self, packet_format: str | PacketFormat, file: BinaryIO, core: int | None = None) -> None:
        super().__init__(packet_format, core)
        self._file = file

    def _put(self, headers: NDArray[np.uint8], payloads: NDArray[np.uint8], before: int) -> None:
        packets = np.concatenate([headers, payloads], axis=1)
        rest = memoryview(packets.reshape(-1).data)
        written = 0
        while written < packets.size:
            try:
                count = self._file.write(rest)
            except OSError as error:
                done = before + written // packets.shape[1]
                raise ResourceError.of(error, f"writing packets (after {done} of them)") from error
            if not count:
                raise ResourceError(
                    f"the file takes no more bytes, after {before + written // packets.shape[1]} packets"
                )
            written += count
            rest = rest[count:]
