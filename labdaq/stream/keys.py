"""Keys for streams that leave this machine: CURVE (elliptic-curve encryption of ZeroMQ) and the list of who may in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from labdaq.errors import LayoutError
from labdaq.stream.zeromq import load

__all__ = ["Doorkeeper", "StreamKeys"]

_ZAP_ADDRESS = "inproc://zeromq.zap.01"


@dataclass(frozen=True)
class StreamKeys:
    """A pair of keys. The public one may be shown to everybody, the secret one to nobody.

    Examples
    --------
    >>> keys = StreamKeys.new()
    >>> len(keys.public), keys
    (40, StreamKeys(public='...'))
    """

    public: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("public", "secret"):
            checked_key(getattr(self, name), name)

    @classmethod
    def new(cls) -> "StreamKeys":
        """A new pair, of random numbers of the system."""
        public, secret = load().curve_keypair()
        return cls(public.decode(), secret.decode())


def checked_key(key: Any, name: str) -> bytes:
    """A key as ZeroMQ wants it.

    Raises
    ------
    LayoutError
        When it is none; a secret key is not shown.
    """
    if not isinstance(key, str) or len(key) != 40 or not key.isascii():
        raise LayoutError(f"the {name} key is no key: 40 characters, from StreamKeys.new()")
    return key.encode()


class Doorkeeper:
    """Lets those in whose public key is on the list; ZeroMQ asks it for each new connection (ZAP, RFC 27)."""

    def __init__(self, lease: Any, allowed: Iterable[str]) -> None:
        zmq = load()
        self._zmq = zmq
        z85 = import_module("zmq.utils.z85")
        self._allowed = {z85.decode(checked_key(key, "allowed")) for key in allowed}
        self._socket = lease.socket(zmq.REP)
        self._socket.bind(_ZAP_ADDRESS)
        self.descriptor = self._socket.getsockopt(zmq.FD)

    def answer(self) -> int:
        """Answer all that was asked; how many were turned away."""
        refused = 0
        while True:
            try:
                request = self._socket.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return refused
            version, number = request[0], request[1]
            is_known = len(request) == 7 and request[5] == b"CURVE" and request[6] in self._allowed
            refused += not is_known
            code, text = (b"200", b"OK") if is_known else (b"400", b"this key is not on the list")
            self._socket.send_multipart([version, number, code, text, b"", b""])
