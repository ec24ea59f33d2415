"""Packets to files and networks.

Sequence numbers and sources are those that readers get: where a format counts from 1, 1 is added.
"""

from labdaq.packet import DiskWriter, HeaderInfo, UDPTransmit

__all__ = ["DiskWriter", "HeaderInfo", "UDPTransmit"]
