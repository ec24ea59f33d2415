"""The program of a Redis server: where it is, and how it is told what to do."""

import functools
import ipaddress
import shutil
import socket
import subprocess
import threading

from labdaq.errors import LayoutError, NotFoundError

__all__ = ["check_arguments", "dies_with_us", "find_redis_server", "free_port", "quoted"]

_PROGRAMS = ("redis-server", "valkey-server")


def find_redis_server() -> str:
    """The path of a ``redis-server`` or ``valkey-server``.

    Raises
    ------
    NotFoundError
        There is none; the message says how to get one.
    """
    for program in _PROGRAMS:
        if found := shutil.which(program):
            return found
    raise NotFoundError(
        f"neither {' nor '.join(_PROGRAMS)} is on the PATH of this machine. Install one: `apt install redis-server`, "
        "`dnf install valkey`, `brew install redis`, `conda install -c conda-forge redis-server`, or `docker run -p "
        "6379:6379 valkey/valkey` somewhere. A store in a folder, labdaq:///path, needs no server"
    )


def check_arguments(host: str, port: int | None, password: str | None, max_nbytes: int | None) -> None:
    """Whether a server can be started like this.

    Raises
    ------
    LayoutError
        It would be open to the world, or an argument cannot be.
    """
    if not password and not _is_loopback(host):
        raise LayoutError(f"a server that listens on {host} can be reached by other machines: give it a password")
    if password and any(letter in password for letter in "\0\r\n"):
        raise LayoutError("a password is one line")
    if port is not None and not 1 <= port <= 65535:
        raise LayoutError(f"port is {port}; it is 1 to 65535, or None for a free one")
    if max_nbytes is not None and max_nbytes < 2**20:
        raise LayoutError(f"max_nbytes is {max_nbytes}; a server needs 1 MiB at least")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(host: str) -> int:
    """A port where nobody listens yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def dies_with_us() -> list[str]:
    """What makes the server end even if this process is killed, where there is such a thing.

    It acts when the thread ends that started it, so only the main thread may ask for it.
    """
    program = shutil.which("setpriv") if threading.current_thread() is threading.main_thread() else None
    return [program, "--pdeathsig", "TERM"] if program and _knows_pdeathsig(program) else []


@functools.cache
def _knows_pdeathsig(program: str) -> bool:
    said = subprocess.run([program, "--help"], capture_output=True, check=False, timeout=5)
    return b"--pdeathsig" in said.stdout


def quoted(value: str) -> str:
    """A value in a configuration of Redis."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
