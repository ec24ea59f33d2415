"""The reference that captures are held against: the same work in C, with the calls of the system that we make.

Found as ``limit_recvmmsg.c`` in the folder that LABDAQ_BENCH_PEERS names; compiled with gcc.
"""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labdaq.packet import Address, UDPSocket

__all__ = ["HEADER", "IDLE_S", "EndToEnd", "Result", "both", "compile_reference", "link", "receive", "send"]

HEADER = 32
IDLE_S = 0.05
COPY, GRO = 1, 3
_BUFFER = 256 << 20


class Result(ctypes.Structure):
    """What both functions fill in: CPU and wall time in seconds."""

    _fields_ = [(n, ctypes.c_int64) for n in ("packets", "nbytes", "calls", "good")] + [
        (n, ctypes.c_double) for n in ("seconds", "cpu")
    ]


def compile_reference(folder: Path) -> Any:
    """The library, or a skip that says why."""
    source = Path(os.environ.get("LABDAQ_BENCH_PEERS", "")) / "limit_recvmmsg.c"
    if not source.is_file() or not shutil.which("gcc"):
        pytest.skip("needs gcc, and LABDAQ_BENCH_PEERS: a folder with limit_recvmmsg.c")
    target = folder / "reference.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
    library = ctypes.CDLL(str(target))
    number, big, pointer, real = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_double
    library.cap.argtypes = [number] * 4 + [pointer, big, big, number, real, pointer]
    library.send_.argtypes = [number] * 4 + [big, number, real, pointer]
    return library


def link(*, merge: bool = False) -> tuple[UDPSocket, UDPSocket]:
    """A socket to receive with a buffer as large as it is granted, and one connected to it."""
    receiver, sender = UDPSocket(), UDPSocket()
    receiver.bind(Address("127.0.0.1", 0), buffer=_BUFFER, merge=merge)
    receiver.timeout = IDLE_S
    sender.connect(receiver.address)
    receiver.socket.setblocking(True)
    receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    return receiver, sender


def send(library: Any, sender: UDPSocket, payload: int, count: int, per_message: int = 1) -> Result:
    """Packets with numbers from 0 up, as fast as it goes."""
    result = Result()
    room = 64 if per_message == 1 else 8
    library.send_(sender.fileno(), room, payload, HEADER, count, per_message, 0.0, ctypes.byref(result))
    return result


def receive(library: Any, receiver: UDPSocket, payload: int, count: int, ring: Any, slots: int, mode: int) -> Result:
    """Into their places in a ring, until all have come or none comes any more."""
    result = Result()
    room = 32 if mode == GRO else 64
    library.cap(receiver.fileno(), room, payload, HEADER, ring, slots, count, mode, 0.02, ctypes.byref(result))
    return result


@dataclass(frozen=True)
class EndToEnd:
    """What a sender and a receiver at the same time made of packets."""

    per_second: float
    """That came, by the clock."""
    part: float
    """Of them that came."""
    cpu_ns: tuple[float, float]
    """Of the sender for one that was sent, of the receiver for one that came."""

    @property
    def busier_ns(self) -> float:
        """Of the busier side: what limits a machine on which nothing else runs."""
        return max(self.cpu_ns)


def both(library: Any, payload: int, count: int, ring: Any, slots: int, per_message: int) -> EndToEnd:
    """Sender and receiver at the same time."""
    receiver, sender = link(merge=per_message > 1)
    came: list[Result] = []
    mode = GRO if per_message > 1 else COPY
    thread = threading.Thread(target=lambda: came.append(receive(library, receiver, payload, count, ring, slots, mode)))
    with receiver, sender:
        thread.start()
        sent = send(library, sender, payload, count, per_message)
        thread.join()
    (got,) = came
    cpu_ns = 1e9 * sent.cpu / sent.packets, 1e9 * got.cpu / max(1, got.packets)
    return EndToEnd(got.packets / sent.seconds, got.packets / sent.packets, cpu_ns)
