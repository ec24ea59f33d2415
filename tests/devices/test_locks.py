"""A device has one user at a time, in all processes."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import pytest

from labdaq.devices.locks import held, holder_of, lent
from labdaq.errors import BusyError, ResourceError
from tests.devices import victims
from tests.devices.slots import PATIENCE

SPAWN = multiprocessing.get_context("spawn")


@contextlib.contextmanager
def other_process(device, does=victims.hold):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=does, args=(device, there))
    process.start()
    there.close()
    try:
        assert here.poll(PATIENCE)
        yield process, here.recv()
    finally:
        here.close()
        process.join(PATIENCE)
        process.close()


@pytest.mark.promise("P7", "a second process that opens a device is told by name who has it, until he is killed")
def test_another_process_is_named_and_its_kill_frees_the_device(saw):
    with other_process("scope") as (process, pid):
        with pytest.raises(BusyError, match=rf"other-program \(process {pid}\) for the run 'cosmics'"):
            with held("scope"):
                pass
        assert str(pid) in holder_of("scope")
        with held("another scope"):
            pass
        os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        process.join(PATIENCE)
        with held("scope"):
            assert str(os.getpid()) in holder_of("scope")
    assert holder_of("scope") is None
    saw("the second one got BusyError with name and process of the first")


def test_an_orderly_end_frees_the_device():
    with other_process("scope"):
        pass
    assert holder_of("scope") is None
    with held("scope"):
        pass


def test_one_user_among_many_threads():
    inside, most, wins = [], [], []

    def attempt():
        for _ in range(50):
            with contextlib.suppress(BusyError), held("scope"):
                inside.append(1)
                most.append(len(inside))
                wins.append(1)
                inside.pop()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins
    assert max(most) == 1


def test_what_is_lent_is_free_in_this_thread_only():
    with lent("scope", run="muons"):
        with held("scope"):
            assert "'muons'" in holder_of("scope")
        assert "'muons'" in holder_of("scope")  # who gives it back does not give away what was lent
        free = []
        other = threading.Thread(target=lambda: free.append(is_free("scope")))
        other.start()
        other.join()
        assert free == [False]
    assert holder_of("scope") is None
    assert is_free("scope")


def is_free(device):
    try:
        with held(device):
            return True
    except BusyError:
        return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_keep_the_lock_of_its_parent():
    with other_process("scope", victims.hold_and_fork) as (process, pid):
        with pytest.raises(BusyError):
            with held("scope"):
                pass
        os.kill(pid, signal.SIGKILL)
        process.join()  # with a timeout it would wait for the child, too
        deadline = time.monotonic() + 30
        while not is_free("scope"):  # the child may not have come to let go of it
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("rubbish", [b"", b"\xff\xfe", b"[1]", b'{"pid": "x"}', b'{"pid": 1}'])
def test_rubbish_in_the_file_of_a_lock(rubbish):
    with held("scope"):
        [path] = (path for path in _folder().iterdir() if path.name.startswith("scope-"))
    path.write_bytes(rubbish)
    assert holder_of("scope") is None
    with held("scope"):
        path.write_bytes(rubbish)
        with pytest.raises(BusyError, match="another process"):
            with held("scope"):
                pass


def test_any_name_will_do():
    names = ["/dev/ttyUSB0", "../../x", "", "Gerät № 7" * 50, "a b", "a_b"]
    with contextlib.ExitStack() as all_of_them:
        for name in names:
            all_of_them.enter_context(held(name))
        assert len(list(_folder().iterdir())) == len(names)


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="folder of the locks"):
        with held("scope"):
            pass


def _folder():
    from labdaq.devices import locks

    return locks._folder()
