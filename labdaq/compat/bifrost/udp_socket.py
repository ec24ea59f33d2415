"""The socket of packets."""

from labdaq import packet

__all__ = ["UDPSocket"]


class UDPSocket(packet.UDPSocket):
    """A socket to receive from or to send to; see :class:`labdaq.packet.UDPSocket`.

    A port that is in use is an error here; ``bind(address, share=True)`` allows it.

    Examples
    --------
    >>> from labdaq.compat.bifrost.address import Address
    >>> sock = UDPSocket()
    >>> sock.bind(Address("127.0.0.1", 0))
    >>> sock.timeout = 5.0
    >>> sock.shutdown()
    """

    def shutdown(self) -> None:
        """Close it."""
        self.close()
