"""Where the two ends of a stream meet: addresses, checked, and sockets bound or connected to them."""

import ipaddress
import re
import secrets
from pathlib import Path
from typing import Any

from labdaq.errors import LayoutError, ResourceError
from labdaq.native.process import Identity, is_alive, this_process
from labdaq.stream.folder import runtime_folder
from labdaq.stream.keys import StreamKeys, checked_key
from labdaq.stream.zeromq import load

__all__ = ["HEARTBEAT", "bind", "check_security", "checked_address", "secure_reader", "secure_sender", "unbind"]

HEARTBEAT = {"heartbeat_ivl": 500, "heartbeat_timeout": 1500, "heartbeat_ttl": 1500, "handshake_ivl": 1500}
"""Milliseconds: a connection to one who died, or whose cable was cut, is given up after that."""

_ADDRESS = re.compile(r"(tcp)://([^/\s:]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})|(ipc|inproc)://(\S{1,200})")


def checked_address(address: str) -> str:
    """An address to connect to.

    Raises
    ------
    LayoutError
        When it is none.

    Examples
    --------
    >>> checked_address("tcp://127.0.0.1:5555")
    'tcp://127.0.0.1:5555'
    """
    match = _ADDRESS.fullmatch(address)
    if not match or (match[3] and not 0 < int(match[3]) < 65536):
        raise LayoutError(f"{address!r:.120} is no address: tcp://host:port, ipc://path or inproc://name")
    return address


def check_security(protocol: str, interface: str, keys: StreamKeys | None, allowed: Any) -> None:
    """Refuse to be reached from elsewhere without keys.

    Raises
    ------
    LayoutError
        For an interface that others can reach, without both keys and a list of those who may connect.
    """
    if (keys is None) != (not allowed):
        raise LayoutError("keys and allowed belong together: your keys, and the public keys of those who may connect")
    if protocol != "tcp":
        if keys is not None:
            raise LayoutError(f"protocol {protocol!r} does not leave this machine, and takes no keys")
        return
    if not _is_loopback(interface) and keys is None:
        raise LayoutError(
            f"interface={interface!r} can be reached from other machines: give keys=StreamKeys.new() and "
            "allowed=[public keys of the readers], or use '127.0.0.1'"
        )


def _is_loopback(interface: str) -> bool:
    try:
        return interface == "localhost" or ipaddress.ip_address(interface.strip("[]")).is_loopback
    except ValueError:
        return False


def bind(socket: Any, protocol: str, interface: str, port: int) -> str:
    """Bind a socket; the address to connect to.

    Raises
    ------
    ResourceError
        When the system refuses it.
    """
    zmq = load()
    token = secrets.token_hex(8)
    wanted = {
        "tcp": f"tcp://{interface}:{port or '*'}",
        "ipc": f"ipc://{_socket_file(token)}" if protocol == "ipc" else "",
        "inproc": f"inproc://labdaq-{token}",
    }[protocol]
    socket.ipv6 = ":" in interface
    try:
        socket.bind(wanted)
    except zmq.ZMQError as error:
        raise ResourceError(error.errno, f"no stream can be sent at {wanted}: {error}") from error
    if protocol == "inproc":
        return wanted
    address: str = socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
    if protocol == "ipc":
        Path(address.removeprefix("ipc://")).chmod(0o600)
    return address


def _socket_file(token: str) -> Path:
    """A new name that tells whose it is; the files of those who were killed are removed."""
    folder, process = runtime_folder(), this_process()
    for path in folder.glob("*.ipc"):
        pid, started, *_ = [*path.stem.split("-"), "", ""]
        if pid.isdigit() and started.isdigit() and not is_alive(Identity(int(pid), int(started))):
            path.unlink(missing_ok=True)
    return folder / f"{process.pid}-{process.started}-{token}.ipc"


def unbind(address: str) -> None:
    """Remove what a bound socket leaves on the disk."""
    if address.startswith("ipc://"):
        Path(address.removeprefix("ipc://")).unlink(missing_ok=True)


def secure_sender(socket: Any, keys: StreamKeys) -> None:
    """Encrypt, and show who we are."""
    socket.curve_server = True
    socket.curve_secretkey = keys.secret.encode()
    socket.curve_publickey = keys.public.encode()


def secure_reader(socket: Any, keys: StreamKeys, server: str) -> None:
    """Encrypt, and talk to this sender only."""
    socket.curve_serverkey = checked_key(server, "server")
    socket.curve_secretkey = keys.secret.encode()
    socket.curve_publickey = keys.public.encode()
