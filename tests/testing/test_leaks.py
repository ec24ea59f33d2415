"""The leak check finds what is left behind, calls it by name, and lets go what ends in time."""

import gc
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from labdaq.native import mapping
from labdaq.testing import inventory, leaks_since


def only_leak(before):
    gc.collect()
    (leak,) = leaks_since(before, patience=0)
    return leak


def test_nothing_is_reported_when_nothing_is_left():
    before = inventory()
    with tempfile.TemporaryFile() as file:
        file.write(b"gone")
    assert leaks_since(before) == []


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_is_named(daemon):
    stop = threading.Event()
    before = inventory()
    thread = threading.Thread(target=stop.wait, name="forgotten", daemon=daemon)
    thread.start()
    try:
        assert "'forgotten'" in only_leak(before)
    finally:
        stop.set()
        thread.join()
    assert leaks_since(before) == []


def test_a_thread_that_ends_in_time_is_no_leak():
    before = inventory()
    threading.Timer(0.1, int).start()
    assert leaks_since(before) == []


def test_a_child_process_is_named():
    before = inventory()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # sleeper"])
    try:
        assert f"child process {child.pid}" in (leak := only_leak(before))
        assert "sleeper" in leak
    finally:
        child.kill()
        child.wait()


def test_a_child_that_nobody_waited_for_is_named():
    before = inventory()
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert "zombie" in only_leak(before)
    child.wait()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors have names on Linux only")
class TestDescriptors:
    def test_a_socket(self):
        before = inventory()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
            assert "socket:" in only_leak(before)

    def test_a_file(self, tmp_path):
        before = inventory()
        with (tmp_path / "left_open.csv").open("w"):
            assert "left_open.csv" in only_leak(before)

    def test_the_interpreter_s_own_files_are_not_reported(self):
        before = inventory()
        with Path(os.__file__).open(), Path(os.devnull).open():
            assert leaks_since(before, patience=0) == []

    def test_mapped_memory_without_a_descriptor(self):
        before = inventory()
        descriptor = mapping.anonymous_file(mapping.PAGE)
        mapped = mapping.Mapping(descriptor, 0, mapping.PAGE)
        os.close(descriptor)
        assert "mapped memory: /memfd:labdaq" in only_leak(before)
        del mapped
        assert leaks_since(before) == []


class TestNamedMemory:
    def test_memory_of_nobody_is_named(self):
        before = inventory()
        path = mapping.folder() / f"{mapping.new_token()}-forgotten"
        path.touch()
        try:
            assert path.name in only_leak(before)
        finally:
            path.unlink()

    def test_memory_of_another_labdaq_is_not_ours(self):
        before = inventory()
        path = mapping.folder() / mapping.new_token()
        path.write_bytes(bytes(mmap.PAGESIZE))
        other = start_elsewhere(path)
        try:
            assert leaks_since(before, patience=0) == []
        finally:
            os.kill(other, 9)
            path.unlink()


def start_elsewhere(path):
    """Start a process that maps a file and is no child of this one; its pid."""
    maps_it = (
        "import mmap, os, sys, time; file = open(sys.argv[1], 'r+b'); memory = mmap.mmap(file.fileno(), 0);"
        "print(os.getpid(), flush=True); os.close(1); time.sleep(60)"
    )
    launch = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {maps_it!r}, sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", launch, str(path)], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def test_the_fixture_fails_a_test_that_leaks(tmp_path):
    (tmp_path / "conftest.py").write_text("from labdaq.testing import no_leaks\n")
    (tmp_path / "test_leaky.py").write_text(
        "import os, threading\n"
        "def test_leaky():\n"
        "    threading.Thread(target=threading.Event().wait, name='immortal', daemon=True).start()\n"
        "def test_clean(): pass\n"
        "def test_failing_keeps_its_own_message():\n"
        "    ends = os.pipe()\n"
        "    assert 'own' == 'message'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "thread 'immortal' (daemon)" in done.stdout
    assert "pipe:" not in done.stdout.replace("os.pipe", "")
    assert "2 passed, 1 failed, 1 error" in done.stdout.replace("1 failed, 2 passed", "2 passed, 1 failed")
