"""Recorded packets to the network, as they came."""

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet.address import Address
from labdaq.packet.batch import Batch, headers_of
from labdaq.packet.disk_reader import open_file
from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.formats import find_format
from labdaq.packet.pace import Pace
from labdaq.packet.pcap import PcapFile, is_pcap
from labdaq.packet.reading import opened
from labdaq.packet.sending import CAN_SEND_MANY, Outbox
from labdaq.packet.udp_socket import UDPSocket

__all__ = ["replay"]

_AHEAD_S = 0.001
_LONGEST_PAUSE_S = 60.0
_TRY_AGAIN = {errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EINTR}
_PATIENCE_S = 1.0


def replay(
    path: str | Path,
    address: Address,
    *,
    packet_format: str | PacketFormat | None = None,
    speed: float = 1.0,
    rate: float = 0.0,
    port: int | None = None,
) -> int:
    """Send the packets of a file to an address, at the times at which they came.

    Recordings of networks (pcap, pcapng) have these times. In files of packets they are those that the packets say, for
    formats whose time tags count time; packets of one frame go together.

    Parameters
    ----------
    path
        The file.
    address
        Where to.
    packet_format
        Of a file of packets; its name.
    speed
        2 is twice as fast as it was.
    rate
        Packets per second, instead of their own times; with ``rate=float("inf")`` as fast as it goes.
    port
        Of a recording of a network: only what went to this port.

    Returns
    -------
    int
        Packets sent.

    Raises
    ------
    LayoutError
        When it is not known when packets came, and no rate is given.
    ResourceError
        When the file cannot be read or the system does not send; says after how many packets.

    Notes
    -----
    Nothing goes more than 1 ms early. Pauses of more than a minute in the recording are made a minute.
    """
    if not speed > 0 or not rate >= 0:
        raise LayoutError(f"speed={speed!r}, rate={rate!r}: positive numbers are needed")
    sent = 0
    with opened(path) as file, UDPSocket() as sender:
        sender.connect(address)
        sender.socket.setblocking(True)
        for batch in _due(file, packet_format, speed, rate, port):
            _send(sender, batch, sent)
            sent += len(batch)
    return sent


def _due(
    file: BinaryIO, packet_format: str | PacketFormat | None, speed: float, rate: float, port: int | None
) -> Iterator[Batch]:
    """Packets when it is their time."""
    found = None if packet_format is None else find_format(packet_format)
    if is_pcap(file) or found is None:
        source, found = PcapFile(file, port), None
    else:
        source = open_file(found, file, 1 << 20, 0, port)  # type: ignore[assignment]
        if not found.ticks_per_second and not rate:
            raise LayoutError(f"packets of {found.full_name!r} do not say when they came: give a rate, in packets/s")
    pace = Pace(0.0 if rate == float("inf") else rate)
    clock = _Clock(speed)
    while (batch := source.next_batch()) is not None:
        if rate:
            yield from _at_rate(batch, pace)
        else:
            yield from clock.wait_for(batch, batch.times_ns if found is None else _times_ns(found, batch))


def _part(batch: Batch, begin: int, end: int) -> Batch:
    return Batch(batch.memory, batch.offsets[begin:end], batch.lengths[begin:end])


def _at_rate(batch: Batch, pace: Pace) -> Iterator[Batch]:
    sent = 0
    while sent < len(batch):
        allowed = pace.allowed(time.monotonic(), len(batch) - sent)
        if allowed:
            yield _part(batch, sent, sent + allowed)
        else:
            time.sleep(pace.wait_s(time.monotonic()))
        sent += allowed


class _Clock:
    """From the times of packets to now."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._origin_s: float | None = None  # on our clock, of what is zero on theirs
        self._last_ns = 0

    def wait_for(self, batch: Batch, times_ns: NDArray[np.int64] | None) -> Iterator[Batch]:
        """Those that are due, as they get due."""
        times = np.zeros(len(batch), np.int64) if times_ns is None else times_ns
        if self._origin_s is None and len(times):
            self._origin_s, self._last_ns = time.monotonic() - times[0] / 1e9 / self._speed, int(times[0])
        begin = 0
        while begin < len(batch):
            wait_s = self._due_s(int(times[begin])) - time.monotonic()
            if wait_s > _AHEAD_S:
                time.sleep(wait_s - _AHEAD_S / 2)
                continue
            limit_ns = (time.monotonic() + _AHEAD_S - (self._origin_s or 0.0)) * self._speed * 1e9
            late = np.flatnonzero(times[begin:] > limit_ns)
            end = begin + max(1, int(late[0]) if len(late) else len(batch) - begin)
            yield _part(batch, begin, end)
            self._last_ns = int(times[end - 1])
            begin = end

    def _due_s(self, time_ns: int) -> float:
        """When; a long pause is made a shorter one, and going back in time none."""
        step_s = (time_ns - self._last_ns) / 1e9 / self._speed
        origin_s = self._origin_s or 0.0
        if step_s > _LONGEST_PAUSE_S:
            self._origin_s = origin_s = origin_s - (step_s - _LONGEST_PAUSE_S)
        elif step_s < -_AHEAD_S:
            self._origin_s = origin_s = origin_s - step_s
        self._last_ns = time_ns
        return origin_s + time_ns / 1e9 / self._speed


def _times_ns(packet_format: PacketFormat, batch: Batch) -> NDArray[np.int64]:
    """When packets came, by their own time tags."""
    headers = headers_of(packet_format, batch)
    values = {name: headers[name].astype(np.int64) for name in packet_format.fields}
    tags = (
        packet_format.clock(Setup(values | {"rate": 0}))[0] if packet_format.clock else np.zeros(len(batch), np.int64)
    )
    seconds, rest = np.divmod(tags, packet_format.ticks_per_second)
    times: NDArray[np.int64] = seconds * 10**9 + rest * 10**9 // packet_format.ticks_per_second
    return times


def _send(sender: UDPSocket, batch: Batch, before: int) -> None:
    outbox = Outbox.of_batch(batch) if CAN_SEND_MANY else None
    sent, give_up = 0, time.monotonic() + _PATIENCE_S
    while sent < len(batch):
        went = outbox.send(sender.fileno(), sent, len(batch)) if outbox else _send_one(sender, batch, sent)
        if went > 0:
            sent, give_up = sent + went, time.monotonic() + _PATIENCE_S
        elif -went not in _TRY_AGAIN or time.monotonic() > give_up:
            error = OSError(-went, errno.errorcode.get(-went, "unknown error"))
            raise ResourceError.of(error, f"sending packets (after {before + sent} of them)") from error


def _send_one(sender: UDPSocket, batch: Batch, index: int) -> int:
    try:
        sender.socket.send(batch.packet(index).tobytes())
    except OSError as error:
        return -(error.errno or errno.EIO)
    return 1
