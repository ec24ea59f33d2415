"""Scans that are driven, written and followed by several processes."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
import pytest

from labdaq.errors import BusyError
from labdaq.store import DataStore, EndOfStream, NumericStreamEncoder, ScanState
from labdaq.testing.stores.base import LATE_S, StoreBase

__all__ = ["ProcessTests"]

TOTAL = 200


def _drive(url: str, number: int) -> None:
    """Make a scan, fill it, close it."""
    with DataStore(url) as store:
        scan = store.create_scan({"name": "elsewhere", "number": number, "data_policy": "none"}, {"pid": os.getpid()})
        stream = scan.create_stream("s", NumericStreamEncoder("i8", (4,)))
        scan.prepare()
        scan.start()
        for value in range(TOTAL):
            stream.send(np.full(4, value))
        scan.stop()
        scan.close()


def _publish(url: str, key: str) -> None:
    """Write a stream of a scan that somebody else drives, and seal it."""
    with DataStore(url) as store:
        stream = store.load_scan(key).get_writer_stream("theirs")
        for value in range(TOTAL):
            stream.send(float(value))
        stream.seal()


def _echo(url: str, source: str, target: str) -> None:
    """Copy one stream to another, as it comes."""
    with DataStore(url) as store:
        reader, writer = store.open_stream(source), store.open_stream(target, write=True)
        for point in reader:
            writer.send(point)
        writer.seal()


def _hold(url: str, key: str) -> None:
    """Write a little, and stay."""
    with DataStore(url) as store:
        stream = store.open_stream(key, write=True)
        stream.send([1.0, 2.0])
        stream.join()
        time.sleep(10 * LATE_S)


class ProcessTests(StoreBase):
    """Skipped where a store belongs to one process."""

    @pytest.fixture(autouse=True)
    def _needs_processes(self, request: pytest.FixtureRequest) -> None:
        if "elsewhere" in request.node.name and not self.is_shared_by_processes:
            pytest.skip("no other process can reach this store")

    @contextmanager
    def processes(self, *calls: tuple[Any, ...]) -> "Iterator[list[SpawnProcess]]":
        """Processes that call functions, and must end by themselves."""
        context = multiprocessing.get_context("spawn")
        children = [context.Process(target=target, args=arguments, daemon=True) for target, *arguments in calls]
        for child in children:
            child.start()
        try:
            yield children
            for child in children:
                child.join(LATE_S)
            assert [child.exitcode for child in children] == [0] * len(children)
        finally:
            for child in children:
                child.kill()
                child.join()
                child.close()

    def test_scans_driven_elsewhere(self, store: DataStore) -> None:
        with self.processes((_drive, store.url, 0), (_drive, store.url, 1)):
            tag: str | int = 0
            for _ in range(2):
                tag, key = store.get_next_scan(tag, timeout=LATE_S)
                scan = store.load_scan(key)
                while not scan.streams:
                    assert scan.update(timeout=LATE_S)
                points = np.array(list(scan.streams["s"]))
                assert np.array_equal(points, np.repeat(np.arange(TOTAL), 4).reshape(-1, 4))
                while scan.state != ScanState.CLOSED:
                    assert scan.update(timeout=LATE_S)
                assert scan.info["pid"] != os.getpid()
        assert len(store.search_existing_scans(name="elsewhere")[1]) == 2

    def test_a_stream_published_and_one_copied_elsewhere(self, store: DataStore) -> None:
        scan = self.make(store)
        mine, theirs, copy = (
            scan.create_stream(name, NumericStreamEncoder(float)) for name in ("mine", "theirs", "copy")
        )
        scan.prepare()
        scan.start()
        with self.processes((_publish, store.url, scan.key), (_echo, store.url, mine.key, copy.key)):
            cursor, echo, sent = theirs.cursor(), copy.cursor(), 0
            index, points = cursor.read(timeout=LATE_S)
            assert (index, points[0]) == (0, 0)
            with contextlib.suppress(BusyError):  # or its publisher was quicker, and has sealed it already
                assert theirs.seal() == TOTAL
            for sent in range(20):
                mine.send(float(sent))
                assert echo.read(timeout=LATE_S) == (sent, [sent])
            mine.seal()
            with pytest.raises(EndOfStream):
                echo.read(timeout=LATE_S)
            assert theirs.wait_seal(LATE_S)
        scan.stop()
        assert theirs[:].tolist() == list(range(TOTAL))

    def test_a_writer_that_was_killed_elsewhere(self, store: DataStore) -> None:
        stream = self.floats(store)
        cursor = stream.cursor()
        with self.processes((_hold, store.url, stream.key)) as children:
            assert cursor.read(timeout=LATE_S)[1].tolist() == [1, 2]
            with pytest.raises(BusyError):
                stream.send(3.0)
            assert not stream.is_sealed()
            children[0].kill()
            children[0].join()
            assert children[0].exitcode == -signal.SIGKILL
            with pytest.raises(EndOfStream, match="died"):
                cursor.read(timeout=LATE_S)
            stream.send(3.0)
            assert stream.seal() == 3
            children.clear()
        assert cursor.read() == (2, [3.0])
