"""A beacon: streams of this machine made known on the network, and those of others found. Off unless it is made.

Once a second a datagram goes to a multicast group of the local network: name, address and, of encrypted streams, the
public key. Who listens gets no more than that: to connect takes a key that the sender has on its list. Nothing
connects by itself, and what a beacon says is checked and otherwise believed by nobody: compare the key with the one
that you were given.
"""

import contextlib
import ipaddress
import json
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.stream.endpoints import checked_address
from labdaq.stream.keys import checked_key
from labdaq.stream.output import OutputStream

__all__ = ["Beacon", "FoundStream", "find_streams"]

_GROUP, _PORT = "239.255.76.81", 7681
_PERIOD_S = 1.0
_MOST_NBYTES = 1200
_MOST_STREAMS = 1000
_MAGIC = "labdaq-stream-1"


@dataclass(frozen=True)
class FoundStream:
    """A stream that somebody's beacon tells of."""

    name: str
    address: str
    server: str = ""
    """Public key of the sender, as it says; empty for streams without encryption."""


class Beacon:
    """Makes streams known on the network while it lives; a context manager.

    Parameters
    ----------
    streams
        Configured with a name. Only those that others can reach are made known, which have keys.
    host
        Under which this machine is reached, for streams that listen everywhere; its name by default.
    server
        The public key of the streams, for readers to compare.
    interface
        Address of the network card that is used; the one that the system chooses by default.

    Raises
    ------
    LayoutError
        A stream has no name, or nobody elsewhere can reach it.
    ResourceError
        The system has no network for it.
    """

    def __init__(
        self,
        streams: OutputStream | Iterable[OutputStream],
        *,
        host: str | None = None,
        server: str = "",
        interface: str | None = None,
    ) -> None:
        chosen = [streams] if isinstance(streams, OutputStream) else list(streams)
        if server:
            checked_key(server, "server")
        self._messages = [_message(one, host or socket.gethostname(), server) for one in chosen]
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)  # it does not leave this network
            if interface is not None:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        except OSError as error:
            raise ResourceError.of(error, "making a beacon") from error
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labdaq-beacon", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            for message in self._messages:
                with contextlib.suppress(OSError):  # the network may be away for a while
                    self._socket.sendto(message, (_GROUP, _PORT))
            if self._is_over.wait(_PERIOD_S):
                return

    def close(self) -> None:
        """Go out. Twice is allowed."""
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> "Beacon":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _message(stream: OutputStream, host: str, server: str) -> bytes:
    name, address = stream.parameters.name, stream.address
    protocol, _, place = address.partition("://")
    where, _, port = place.rpartition(":")
    if not name:
        raise LayoutError(f"the stream at {address} has no name: configure(name=…)")
    if protocol != "tcp" or _is_loopback(where):
        raise LayoutError(f"stream {name!r} at {address} is reached on this machine only: a beacon is of no use to it")
    if where in {"0.0.0.0", "*", "[::]"}:  # noqa: S104 - compared only: nobody can connect to "everywhere"
        address = f"tcp://{host}:{port}"
    told = json.dumps({"is": _MAGIC, "name": name, "address": checked_address(address), "server": server})
    return told.encode()


def _is_loopback(where: str) -> bool:
    try:
        return ipaddress.ip_address(where.strip("[]")).is_loopback
    except ValueError:
        return where == "localhost"


def found_in(message: bytes) -> FoundStream:
    """The stream that a datagram tells of.

    Raises
    ------
    DataError
        It is none of a beacon.

    Examples
    --------
    >>> told = {"is": "labdaq-stream-1", "name": "muon", "address": "tcp://10.0.0.5:5555", "server": ""}
    >>> found_in(json.dumps(told).encode())
    FoundStream(name='muon', address='tcp://10.0.0.5:5555', server='')
    """
    if len(message) > _MOST_NBYTES:
        raise DataError(f"a datagram of {len(message)} bytes is none of a beacon")
    try:
        told = json.loads(message)
        if told["is"] != _MAGIC or not isinstance(told["name"], str) or not isinstance(told["server"], str):
            raise DataError("a datagram that is none of a beacon")
        name, server = told["name"], told["server"]
        address = checked_address(told["address"])
        if server:
            checked_key(server, "server")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise DataError(f"a datagram that is none of a beacon: {error}") from error
    if not name.isprintable() or not 0 < len(name) <= 64 or not address.startswith("tcp://"):
        raise DataError("a beacon with a name or address that cannot be")
    return FoundStream(name, address, server)


def find_streams(seconds: float = 2.5, *, interface: str | None = None) -> list[FoundStream]:
    """Listen to the beacons on the network for a while.

    Parameters
    ----------
    seconds
        How long; beacons come once a second.
    interface
        Address of the network card that is listened at; the one that the system chooses by default.

    Returns
    -------
    list of FoundStream
        By name. Datagrams that are none of a beacon are passed over.

    Raises
    ------
    ResourceError
        The system does not let us listen.
    """
    found: set[FoundStream] = set()
    try:
        with _listening(interface) as listener:
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0 and len(found) < _MOST_STREAMS:
                listener.settimeout(left)
                try:
                    message = listener.recv(_MOST_NBYTES + 1)
                except TimeoutError:
                    break
                with contextlib.suppress(DataError):
                    found.add(found_in(message))
    except OSError as error:
        raise ResourceError.of(error, "listening to beacons") from error
    return sorted(found, key=lambda one: (one.name, one.address))


@contextlib.contextmanager
def _listening(interface: str | None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((_GROUP if sys.platform == "linux" else "", _PORT))
        member = socket.inet_aton(_GROUP) + (socket.inet_aton(interface) if interface else bytes(4))
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        yield listener
