"""Where packets go to or come from on a network."""

import ipaddress
import socket
from functools import cached_property
from typing import Any

from labdaq.errors import LayoutError, NotFoundError

__all__ = ["Address"]


class Address:
    """A host and a port of UDP.

    Parameters
    ----------
    host
        A name or a number, of IPv4 or IPv6; empty for all addresses of this machine.
    port
        0 to 65535; 0 lets the system choose one.
    family
        ``socket.AF_INET`` or ``AF_INET6`` where a name has both; by default what the system puts first.

    Raises
    ------
    LayoutError
        When the port is none.
    NotFoundError
        When the name is not known.

    Examples
    --------
    >>> address = Address("224.0.0.251", 7147)
    >>> str(address), address.is_multicast
    ('224.0.0.251:7147', True)
    """

    def __init__(self, host: str, port: int, family: int | None = None) -> None:
        if isinstance(port, bool) or not 0 <= int(port) <= 65535:
            raise LayoutError(f"port {port!r}: 0 to 65535")
        self.host, self.port = host, int(port)
        try:
            kinds = socket.getaddrinfo(
                host or None, self.port, family or socket.AF_UNSPEC, socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
            )
        except socket.gaierror as error:
            raise NotFoundError(f"host {host!r} is not known: {error.strerror}") from error
        self.family = int(kinds[0][0])
        self.sockaddr: Any = kinds[0][4]

    @cached_property
    def address(self) -> str:
        """The number of the host."""
        return str(self.sockaddr[0])

    @property
    def is_multicast(self) -> bool:
        """Whether it is the address of a group."""
        return ipaddress.ip_address(self.address.split("%")[0]).is_multicast

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.address}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({self.host!r}, {self.port})"
