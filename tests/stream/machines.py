"""Two machines on one table: processes in network namespaces of their own, and a cable (veth) between them.

Nothing is left of them when the processes end: namespaces without a name end with the last process in them.
"""

import ctypes
import os
import subprocess
from contextlib import contextmanager

import pytest

from tests.stream.victims import SPAWN, process

__all__ = ["Machine", "two_machines"]

_CLONE_NEWNET = 0x40000000


class Machine:
    """A process with a network of its own, which answers questions.

    Attributes
    ----------
    address : str
        Of its end of the cable: a private one of RFC 1918, and no loopback.
    """

    def __init__(self, child, pipe, address):
        self._child, self._pipe, self.address = child, pipe, address

    def ask(self, *question):
        """Have something done there, and its result."""
        self._pipe.send(question)
        assert self._pipe.poll(60), f"no answer to {question}"
        answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def run(self, *words):
        """A command of the system, in the network of this machine."""
        command("nsenter", "-t", str(self._child.pid), "-n", *words)

    def plug(self, state):
        """Switch its end of the cable ``up``, or ``down``."""
        self.run("ip", "link", "set", "cable", state)


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


def live(pipe, make):
    """The life of a machine: enter a network, then answer until nobody asks."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        pipe.send(OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())))
        return
    pipe.send(None)
    one = make()
    try:
        while True:
            while not pipe.poll(0.01):
                one.work()
            name, *arguments = pipe.recv()
            try:
                pipe.send(getattr(one, name)(*arguments))
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                pipe.send(error)
    except EOFError:
        one.close()


@contextmanager
def two_machines(make_one, make_other):
    """Two machines with a cable; the test is skipped where that is not permitted."""
    (one, its_pipe), (other, other_pipe) = SPAWN.Pipe(), SPAWN.Pipe()
    with one, other, process(live, its_pipe, make_one) as first, process(live, other_pipe, make_other) as second:
        its_pipe.close()
        other_pipe.close()
        machines = Machine(first, one, "10.77.0.1"), Machine(second, other, "10.77.0.2")
        try:
            for pipe in (one, other):
                assert pipe.poll(60), "no machine"
                if error := pipe.recv():
                    raise error
            ends = "cable", "netns", str(first.pid), "type", "veth", "peer", "name", "cable", "netns", str(second.pid)
            command("ip", "link", "add", *ends)
            for machine in machines:
                machine.run("ip", "address", "add", f"{machine.address}/24", "dev", "cable")
                machine.run("ip", "link", "set", "lo", "up")
                machine.plug("up")
        except (OSError, FileNotFoundError) as error:
            pytest.skip(f"no networks of one's own here: {error}")
        yield machines
        one.close()
        other.close()
        first.join(30)
        second.join(30)
