"""Rings between processes: spawned and forked, pickled, and left behind by an interpreter that ends."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

import labdaq
from labdaq.errors import BusyError, ClosedError, LayoutError
from labdaq.native import mapping

METHODS = [m for m in ("spawn", "fork") if m in multiprocessing.get_all_start_methods()]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Unix only")


@pytest.fixture
def ring():
    with labdaq.Ring("shared by processes", dtype="i8", capacity=16, space="shared") as ring:
        yield ring


def write(ring, values):
    with ring.writer() as writer:
        for value in values:
            writer.put(value, timeout=10)


def read(ring, group, answers):
    answers.put([int(event.data) for event in ring.reader(group)])


def start(method, *targets):
    context = multiprocessing.get_context(method)
    children = [context.Process(target=target, args=arguments) for target, *arguments in targets]
    for child in children:
        child.start()
    return children


def finish(children):
    for child in children:
        child.join(20)
        assert child.exitcode == 0
        child.close()


@pytest.mark.parametrize("method", METHODS)
def test_writers_and_members_of_groups_may_be_anywhere(ring, method):
    answers = multiprocessing.get_context(method).SimpleQueue()
    for group in "ab":
        ring.group(group)
    readers = start(method, *[(read, ring, group, answers) for group in "aab"])
    writers = start(method, *[(write, ring, range(1000 * n, 1000 * n + 300)) for n in range(2)])
    finish(writers)
    ring.end()
    shares = sorted((answers.get() for _ in range(3)), key=len)
    finish(readers)
    answers.close()
    everything = sorted([*range(300), *range(1000, 1300)])
    assert sorted(shares[0] + shares[1]) == sorted(shares[2]) == everything
    assert ring.statistics().voided == 0


def test_a_pickled_ring_is_the_same_ring(ring):
    with pickle.loads(pickle.dumps(ring)) as other:
        assert (other.name, other.capacity, other.dtype, other.shape) == (ring.name, 16, ring.dtype, ())
        reader = other.reader()
        write(ring, [1, 2])
        assert [int(reader.read(timeout=1).data) for _ in range(2)] == [1, 2]


def test_the_ring_lives_as_long_as_anyone_has_it():
    first = labdaq.Ring(dtype="i8", capacity=4, space="shared")
    second = pickle.loads(pickle.dumps(first))
    text = pickle.dumps(first)
    first.close()
    write(second, [7])
    third = pickle.loads(text)
    assert int(third.reader().read(timeout=1).data) == 7
    second.close()
    third.close()
    with pytest.raises(ClosedError, match="gone"):
        pickle.loads(text)


def test_closing_one_handle_lets_go_of_what_it_held():
    first = labdaq.Ring(dtype="i8", capacity=2, space="shared")
    with pickle.loads(pickle.dumps(first)) as second, second.writer() as writer:
        reader, other = first.reader("g"), first.writer()
        other.reserve()
        first.close()
        for number in range(5):
            writer.put(number, timeout=0)
        with pytest.raises(ClosedError):
            reader.read(timeout=0)


def test_what_is_private_or_closed_cannot_be_pickled(ring):
    with labdaq.Ring("private", dtype="i8", capacity=4) as private, pytest.raises(LayoutError, match="space='shared'"):
        pickle.dumps(private)
    ring.close()
    with pytest.raises(ClosedError):
        pickle.dumps(ring)


def in_child(work):
    """Run a function in a forked child, which then ends without any ceremony; what it returned."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(there, repr(work()).encode())
        except BaseException as error:  # noqa: BLE001 - a child of a test must not run the other tests
            os.write(there, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@forks
class TestAfterAFork:
    def test_a_private_ring_stays_with_the_parent(self):
        with labdaq.Ring(dtype="i8", capacity=4) as ring, ring.writer() as writer, ring.reader() as reader:
            for work in (ring.reader, ring.writer, lambda: writer.put(1), reader.read, ring.statistics):
                assert in_child(work).startswith("ClosedError: ring")
            writer.put(5)
            assert int(reader.read(timeout=0).data) == 5

    def test_a_writer_becomes_the_childs_own(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            held = writer.reserve()

            def work():
                writer.put(2)
                os.kill(os.getpid(), signal.SIGKILL)  # what the parent holds is not the child's to lose

            assert in_child(work) == ""
            held.data[...] = 1
            held.commit()
            writer.put(3)
            assert [int(reader.read(timeout=1).data) for _ in range(3)] == [1, 2, 3]

    def test_an_open_event_stays_with_the_parent(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            held = writer.reserve()
            held.data[...] = 1
            assert in_child(held.commit).startswith("ClosedError")
            held.commit()
            assert int(reader.read(timeout=0).data) == 1

    def test_a_reader_in_the_child_is_one_more_member(self, ring):
        write(ring, range(6))
        with ring.reader("g") as reader:
            assert int(reader.read().data) == 0

            def work():
                found = [int(reader.read(timeout=1).data) for _ in range(2)]
                reader.close()
                return found

            assert in_child(work) == "[1, 2]"
            assert [int(reader.read(timeout=1).data) for _ in range(3)] == [3, 4, 5]

    def test_the_parents_writing_is_not_ended_by_a_child(self):
        with labdaq.Ring(space="shared") as ring:
            ring.resize(4, 16)
            with ring.begin_writing() as writer, writer.begin_sequence("a") as sequence:
                span = sequence.reserve(4)

                def work():
                    with writer, sequence:
                        pass

                assert in_child(work) == "None"
                assert ring.statistics().state == "open"
                span.data[:] = 1
                span.commit()
            assert [[s.data.tolist() for s in q.read(4)] for q in ring.read()] == [[[1] * 4]]

    def test_a_child_cannot_write_into_its_parents_sequence(self):
        with labdaq.Ring(space="shared") as ring:
            ring.resize(4, 16)
            with ring.begin_writing() as writer, writer.begin_sequence("a") as sequence:
                assert in_child(lambda: sequence.reserve(4)).startswith(BusyError.__name__)
                with sequence.reserve(4, timeout=1) as span:
                    span.data[:] = 2

    def test_a_child_that_lives_longer_keeps_the_ring_and_cleans_up(self):
        ring = labdaq.Ring(dtype="i8", capacity=4, space="shared")
        token = ring._core.token
        context = multiprocessing.get_context("fork")
        go = context.Event()
        child = context.Process(target=use_later, args=(ring, go))
        child.start()
        deadline = time.monotonic() + 10
        while len(ring.statistics().writers) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        ring.close()
        assert list(mapping.folder().glob(f"{token}*"))
        go.set()
        finish([child])
        assert not list(mapping.folder().glob(f"{token}*"))


def use_later(ring, go):
    with ring.writer() as writer:
        go.wait(10)
        writer.put(1)


EXIT = """
import sys, threading, time
import labdaq
ring = labdaq.Ring(dtype="i8", capacity=8, space="shared")
stream = labdaq.Ring(space="shared")
stream.resize(8, 64)
print(ring._core.token, stream._core.token, flush=True)
started = threading.Barrier(6)

def write():
    writer = ring.writer()
    started.wait()
    while True:
        writer.put(1)

def write_stream():
    writer = stream.begin_writing()
    sequence = writer.begin_sequence()
    started.wait()
    while True:
        with sequence.reserve(8):
            pass

def read():
    reader = ring.reader("g")
    started.wait()
    for event in reader:
        pass

def read_stream():
    reader = stream.read()
    started.wait()
    for sequence in reader:
        for span in sequence.read(8):
            pass

def observe():
    observer = ring.observer()
    started.wait()
    for event in observer:
        pass

for target in (write, read, observe, write_stream, read_stream):
    threading.Thread(target=target, daemon=True).start()
started.wait()
time.sleep(0.05)
held = ring.writer().reserve()
"""


@pytest.mark.parametrize("ending", ["", "raise SystemExit(0)", "1 / 0"])
def test_an_interpreter_ends_with_everything_running(ending):
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", EXIT + ending], capture_output=True, text=True, timeout=30)
    assert time.monotonic() - begun < 10
    assert done.returncode == (1 if "/" in ending else 0), done.stderr
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr.split("ZeroDivisionError")[-1]
    for token in done.stdout.split():
        assert not list(mapping.folder().glob(f"{token}*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_a_program_that_is_interrupted_while_it_waits_leaves_nothing():
    make = "import labdaq; ring = labdaq.Ring(dtype='i8', capacity=2, space='shared')"
    code = f"{make}; print(ring._core.token, flush=True); ring.reader().read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    token = child.stdout.readline().strip()
    time.sleep(0.2)
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=10)
    assert time.monotonic() - sent < 2
    assert "KeyboardInterrupt" in errors
    assert not list(mapping.folder().glob(f"{token}*"))


def claim_and_wait(ring, group, answers):
    reader = ring.reader(group).__enter__()
    answers.put(reader.read_span(2).nframe)
    time.sleep(1000)


def test_what_the_dead_had_claimed_is_delivered_again_as_soon_as_that_is_asked_for(ring):
    ring.group("all")
    write(ring, range(4))
    answers = multiprocessing.get_context("spawn").SimpleQueue()
    (child,) = start("spawn", (claim_and_wait, ring, "all", answers))
    assert answers.get() == 2
    child.kill()
    child.join()
    assert (ring.recover(), ring.recover()) == (2, 0)  # it had the ring open, and a reader
    ring.end()
    with ring.reader("all") as reader:
        assert [int(event.data) for event in reader] == [0, 1, 2, 3]
    child.close()
