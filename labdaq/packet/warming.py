"""Compile what captures run before it is needed, into the cache that all processes share."""

import contextlib
import io
import tempfile
import threading
from pathlib import Path

import numpy as np

from labdaq.packet.address import Address
from labdaq.packet.batch import Batch
from labdaq.packet.capture import PacketCapture
from labdaq.packet.formats import find_format
from labdaq.packet.reading import read
from labdaq.packet.receiving import CAN_BATCH
from labdaq.packet.sinks import BlockSink
from labdaq.packet.transmitting import UDPTransmit
from labdaq.packet.transports import Packets
from labdaq.packet.udp_capture import UDPCapture
from labdaq.packet.udp_socket import UDPSocket
from labdaq.packet.writing import HeaderInfo
from labdaq.ring import Ring

__all__ = ["warm", "warm_once"]

_begun = threading.Event()
_CI16 = np.dtype([("re", "<i2"), ("im", "<i2")])


def warm() -> int:
    """Compile what is not in the cache yet; how many functions there are.

    Decoders are not kept: each takes 0.1 s when its format is first used.
    """
    capture = PacketCapture("simple", Packets(Batch.of([_simple(n) for n in range(6)])), BlockSink(), nsrc=1)
    while capture.recv() not in {1, 4}:
        pass
    list(read(io.BytesIO(_simple(1)), find_format("simple"), nsrc=1))
    _warm_disk()
    if CAN_BATCH:
        _warm_network()
    return 9


def warm_once() -> None:
    """The same, in this process for the first time: a capture is ready when it is made, and not some packets later."""
    if not _begun.is_set():
        _begun.set()  # what is warmed up is a capture, too
        warm()


def _warm_disk() -> None:
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix="labdaq-") as folder:
        path = Path(folder) / "packets"
        path.write_bytes(_simple(1))
        list(read(path, find_format("simple"), nsrc=1))


def _warm_network() -> None:
    with contextlib.suppress(OSError), UDPSocket() as receiver, UDPSocket() as sender, Ring() as ring:
        receiver.bind(Address("127.0.0.1", 0))
        receiver.timeout = 0
        sender.connect(receiver.address)
        UDPTransmit("simple", sender).send(HeaderInfo(), 0, 1, 0, 1, np.zeros((1, 1, 2048), _CI16))
        with UDPCapture("simple", receiver, ring, nsrc=1, ntime_gulp=1) as capture:
            capture.recv()


def _simple(seq: int) -> bytes:
    return seq.to_bytes(8, "big") + bytes(8192)
