"""A disk that is full while data are taken: a clean end, what was acknowledged is kept, and the balance closes."""

import os
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
from zarr.core.sync import cleanup_resources

from labdaq.files import CsvFile, ParquetFile, read_csv, read_parquet
from labdaq.pipeline import Pipeline, RunState, open_run

NOISE = np.random.default_rng(3).integers(0, 2**62, (1 << 16, 16))
EVENT = np.dtype([(f"v{n}", "i8") for n in range(16)])


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MiB."""
    place = tmp_path / f"disk-{uuid.uuid4().hex[:8]}"
    place.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system here: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class Records:
    """Records of random numbers, which no format makes smaller."""

    dtype, shape = EVENT, ()

    def open(self):
        self.given = 0

    def acquire_batch(self, events):
        n = len(events)
        events.data[:] = NOISE[(self.given + np.arange(n)) % len(NOISE)].view(EVENT)[:, 0]
        self.given += n
        return n


def filled(store, sink, **settings):
    """A run that goes on until there is no more room."""
    with Pipeline("full", store=store) as daq:
        raw = daq.ring("raw", EVENT, capacity=256)
        daq.source(Records(), raw, name="source")
        daq.sink(sink, raw, name="sink")
        return daq.run(seconds=60, **settings)


@pytest.mark.promise("P1", "a disk fills up under a sink: the run ends, the ledger closes, what was accepted is there")
@pytest.mark.parametrize("name", ["noise.csv", "noise.parquet"])
def test_a_sink_on_a_full_disk_ends_the_run_and_keeps_what_it_acknowledged(small_disk, tmp_path, name, saw):
    kind, read = (CsvFile, read_csv) if name.endswith("csv") else (ParquetFile, read_parquet)
    settings = {} if kind is CsvFile else {"row_group": 5000}
    result = filled(tmp_path / "runs", kind(small_disk / name, **settings))  # the disk of the run has room
    assert result.state == RunState.FAILED
    assert "No space left on device; make room on the disk, or choose another" in result.reason
    assert result.ledger.is_closed, str(result)
    balance = result.ledger["sink"]
    assert balance.received == result.events
    kept = read(small_disk / name).records
    assert len(kept) == balance.accepted > 5000
    assert kept["counter"].tolist() == list(range(len(kept)))
    assert kept["v3"].tolist() == NOISE[np.arange(len(kept)) % len(NOISE), 3].tolist()
    assert balance.discarded + balance.undelivered == result.events - balance.accepted
    saw(f"{result.events} events, {balance.accepted} kept until the disk was full, all others counted")


@pytest.mark.parametrize("name", ["noise.h5", "noise.zarr"])
def test_what_has_no_end_on_a_full_disk_is_in_its_journal(small_disk, name):
    result = filled(small_disk, name, min_free_nbytes=0)
    assert result.state == RunState.FAILED
    assert "No space left on device" in result.reason
    assert result.ledger.is_closed
    with open_run(result.folder) as run:
        kept = run.table(name)
    assert len(kept) >= result.ledger["sink"].accepted > 5000
    assert kept["counter"].tolist() == list(range(len(kept)))
    assert kept["v3"].tolist() == NOISE[np.arange(len(kept)) % len(NOISE), 3].tolist()
    cleanup_resources()


def test_the_run_ends_cleanly_before_its_own_disk_is_full(small_disk):
    result = filled(small_disk, "noise.csv", min_free_nbytes=3 << 20)
    # It is looked at once a second: here more than what was to be left may be written before.
    assert result.ledger.is_closed
    assert result.state in {RunState.ENDED, RunState.FAILED}
    with open_run(result.folder) as run:
        assert len(run.table("noise")) >= result.ledger["sink"].accepted


def test_a_slow_run_ends_cleanly_while_there_is_room(small_disk):
    class Slow(Records):
        def acquire_batch(self, events):
            (small_disk / "others").write_bytes(bytes(2 << 20))  # somebody else fills the disk
            time.sleep(0.01)
            events.data[:1] = NOISE[:1].view(EVENT)[:, 0]
            self.given += 1
            return 1

    with Pipeline("full", store=small_disk) as daq:
        raw = daq.ring("raw", EVENT, capacity=16)
        daq.source(Slow(), raw, name="source")
        daq.sink("noise.csv", raw, name="sink")
        result = daq.run(seconds=60, min_free_nbytes=2 << 20)
    assert (result.state, result.ledger.is_closed) == (RunState.ENDED, True)
    assert "the disk is nearly full" in result.reason
    assert result.ledger["sink"].accepted == result.events > 0
    assert len(read_csv(result.folder / "noise.csv")) == result.events


def test_a_run_does_not_begin_on_a_disk_that_is_nearly_full(small_disk):
    from labdaq.errors import ResourceError

    with pytest.raises(ResourceError, match="Make room, or lower min_free_nbytes"):
        filled(small_disk, "noise.csv", min_free_nbytes=100 << 20)


PROGRAM = """
import resource, signal, sys
from tests.pipeline.sinks.test_full_disk import filled
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
result = filled(sys.argv[1], "noise.csv")
print(result.state.name, result.ledger.is_closed, result.ledger["sink"].accepted, result.folder)
print(result.reason)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
def test_a_share_of_the_disk_that_is_used_up(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    first, reason = told.stdout.splitlines()[:2]
    state, is_closed, accepted, folder = first.split()
    assert (state, is_closed) == ("FAILED", "True"), told.stdout
    assert "File too large" in reason
    with open_run(folder) as run:
        assert len(run.table("noise")) >= int(accepted) > 1000
        assert run.result.ledger.is_closed
