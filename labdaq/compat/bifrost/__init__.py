"""Programs for Bifrost on labdaq's rings, packets and kernels: nothing but the import lines change.

    from labdaq.compat import bifrost
    from labdaq.compat.bifrost.packet_capture import PacketCaptureCallback, UDPCapture

`ring`            rings of bytes, sequences and spans
`address`, `udp_socket`  where packets come from
`packet_capture`  callbacks with pointers, capture from network and file
`packet_writer`   packets to network and file
`ndarray`, `DataType`    arrays of types that count bits
`quantize`, `unpack`     from numbers to few bits, and back
`ctypes`          Python's own, whose ``create_string_buffer`` takes texts too, as the tutorial has it

Where the two differ, it is on purpose: ``ci4`` has the real part in the high nibble everywhere, and is rounded, not
cut; a span that an error ends is not published; packets that are missing are zero.
"""

from labdaq.compat.bifrost import (
    address,
    ctypes,
    packet_capture,
    packet_writer,
    ring,
    udp_socket,
)
from labdaq.compat.bifrost.DataType import DataType
from labdaq.compat.bifrost.ndarray import asarray, empty, ndarray, zeros
from labdaq.compat.bifrost.quantize import quantize
from labdaq.compat.bifrost.unpack import unpack

__all__ = [
    "DataType",
    "address",
    "asarray",
    "ctypes",
    "empty",
    "ndarray",
    "packet_capture",
    "packet_writer",
    "quantize",
    "ring",
    "udp_socket",
    "unpack",
    "zeros",
]
