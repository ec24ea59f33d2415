"""A process is itself: its pid alone does not make it so, and the dead are not alive."""

import os
import subprocess
import sys

import pytest

from labdaq.native.process import Identity, identity_of, is_alive, this_process


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_this_process_lives():
    assert this_process().pid == os.getpid()
    assert is_alive(this_process())
    assert identity_of(os.getpid()) == this_process()


def test_a_pid_that_was_used_again_is_another_process():
    me = this_process()
    assert not is_alive(Identity(me.pid, me.started - 1))


def test_a_child_is_known_until_it_ends(child):
    identity = identity_of(child.pid)
    assert is_alive(identity)
    child.communicate(b"\n")
    assert not is_alive(identity)
    assert identity_of(child.pid) is None


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="zombies are of Unix")
def test_a_zombie_is_dead(child):
    identity = identity_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(identity)
    assert identity_of(child.pid) is None


def test_nobody_has_no_identity():
    assert identity_of(2**22 + 1) is None
    assert not is_alive(Identity(0, 0))
    assert not is_alive(Identity(-1, 0))


@pytest.mark.skipif(sys.platform != "linux", reason="names of processes stand in /proc")
def test_a_process_may_have_any_name():
    name = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z 1 (')"  # as it stands in /proc/self/stat
    code = f"{name}; from labdaq.native.process import *; print(is_alive(this_process()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
