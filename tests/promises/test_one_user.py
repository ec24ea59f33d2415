"""One instrument, one user: whoever comes second is told who was first, and nothing is ever mixed."""

import multiprocessing
import sys

import numpy as np
import pytest

import labdaq
from labdaq.devices.locks import held
from labdaq.errors import BusyError
from labdaq.store import DataStore, NumericStreamEncoder

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 60


def compete(name, turns, shared, begin):
    """Take a device so many times, among others who do so too; count who else was inside."""
    begin.wait(PATIENCE_S)
    had = 0
    while had < turns:
        try:
            with held("promised scope", run=name):
                shared[0] += 1
                shared[1] = max(shared[1], shared[0])
                shared[0] -= 1
                had += 1
        except BusyError as error:
            if "promised scope" not in str(error):
                sys.exit(f"the message names no device: {error}")


@pytest.mark.promise("P7", "three processes take a device in turns, as quickly as they can; never are two inside")
@pytest.mark.timeout(200)
def test_never_are_two_inside(often, saw):
    turns = often(50, 20_000)
    shared = SPAWN.RawArray("q", 2)
    begin = SPAWN.Barrier(3)
    crowd = [SPAWN.Process(target=compete, args=(f"run {n}", turns, shared, begin)) for n in range(3)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0, 0, 0]
    assert shared[:] == [0, 1]
    saw(f"{3 * turns} times, at most one inside")


@pytest.mark.promise("P7", "the only writer's place of a ring and of a stream of the store")
def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path, often, saw):
    refused = 0
    with labdaq.Ring("once") as ring, DataStore(tmp_path / "s") as store, DataStore(tmp_path / "s") as other:
        ring.resize(8, 64)
        stream = store.create_scan({"name": "x", "number": 1, "data_policy": "none"}).create_stream(
            "v", NumericStreamEncoder("f8")
        )
        rounds = often(20, 5000)
        with ring.begin_writing() as writer, writer.begin_sequence("first") as sequence:
            for number in range(rounds):
                stream.send(float(number))
                for second in (ring.begin_writing, lambda: other.open_stream(stream.key, write=True).send(-1.0)):
                    with pytest.raises(BusyError):
                        second()
                    refused += 1
                with sequence.reserve(1) as span:
                    span.data[...] = number % 256
        assert np.array_equal(stream[:], np.arange(float(rounds)))
    saw(f"{refused} refused, the data are those of the first")
