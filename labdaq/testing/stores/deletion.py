"""The end of scans, and of stores."""

from collections.abc import Callable
from typing import Any

import pytest

from labdaq.errors import ClosedError, LabdaqError, NotFoundError
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder, ScanNotFoundError, ScanState, StateError
from labdaq.testing.stores.base import StoreBase, while_it_waits
from labdaq.testing.stores.scans import advance

__all__ = ["DeletionTests"]


class DeletionTests(StoreBase):
    """What is left of a scan that was deleted: nothing."""

    @pytest.mark.parametrize("state", ScanState)
    @pytest.mark.parametrize("force", [False, True])
    def test_open_scans_need_force(self, store: DataStore, other: DataStore, state: ScanState, force: bool) -> None:
        scan = advance(self.make(store), state)
        if state != ScanState.CLOSED and not force:
            with pytest.raises(StateError, match=state.name):
                other.delete_scan(scan.key)
            assert store.load_scan(scan.key).state == state
            return
        assert other.delete_scan(scan.key, force=force)
        assert not other.delete_scan(scan.key, force=force)
        for place in (store, other):
            with pytest.raises(ScanNotFoundError):
                place.load_scan(scan.key)
            assert place.get_scans_state([scan.key]) == {}
            assert place.search_existing_scans(name="muon")[1] == []

    def test_its_streams_are_gone(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        written, untouched = (scan.create_stream(name, NumericStreamEncoder(float)) for name in "ab")
        written.send([1.0, 2.0])
        scan.prepare()
        open_reader, lazy_reader = (other.load_scan(scan.key).streams["a"] for _ in range(2))
        cursor = open_reader.cursor()
        assert cursor.read()[0] == 0
        assert store.delete_scan(scan.key, force=True)
        for stream in (open_reader, lazy_reader, written, untouched):
            with pytest.raises(ScanNotFoundError):
                stream.extent()
        with pytest.raises(ScanNotFoundError):
            cursor.read(block=False)
        for stream in (written, untouched):
            with pytest.raises(NotFoundError):
                other.open_stream(stream.key)
            with pytest.raises(LabdaqError):
                stream.send(3.0)
                stream.join()
            with pytest.raises(LabdaqError):
                stream.seal()
        assert not set(store.engine.usage()) & {written.key, untouched.key}

    def test_who_drives_it_is_told(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        other.delete_scan(scan.key, force=True)
        with pytest.raises(ScanNotFoundError):
            scan.create_stream("s", JsonStreamEncoder())
        with pytest.raises(ScanNotFoundError):
            scan.prepare()
        assert scan.state == ScanState.CREATED
        with pytest.raises(ScanNotFoundError):
            scan.close()

    def test_who_saw_it_is_told(self, store: DataStore, other: DataStore) -> None:
        scan, closed = self.make(store), advance(self.make(store), ScanState.CLOSED)
        seen = [other.load_scan(scan.key), other.load_scan(closed.key)]
        for key in (scan.key, closed.key):
            store.delete_scan(key, force=True)
        for loaded in seen:
            with pytest.raises(ScanNotFoundError):
                loaded.update(block=False)

    def test_who_waits_for_it_is_told(self, store: DataStore, other: DataStore) -> None:
        stream = self.floats(store)
        (scan_key,) = store.search_existing_scans()[1]
        seen, cursor = other.load_scan(scan_key), other.open_stream(stream.key).cursor()

        def follow() -> None:
            with pytest.raises(ScanNotFoundError):
                cursor.read()
            with pytest.raises(ScanNotFoundError):
                seen.update()

        while_it_waits(follow, lambda: store.delete_scan(scan_key, force=True))

    def test_who_waits_when_the_store_is_closed_is_told(self, store: DataStore) -> None:
        stream = self.floats(store)
        waits: list[Callable[[DataStore], Any]] = [
            lambda other: other.get_next_scan(),
            lambda other: other.open_stream(stream.key).cursor().read(),
            lambda other: other.open_stream(stream.key).wait_seal(),
        ]
        for wait in waits:
            other = self.again(store)
            with pytest.raises(ClosedError):
                while_it_waits(lambda: wait(other), other.close)  # noqa: B023 - called here
        with pytest.raises(ClosedError):
            other.get_last_scan()
        with pytest.raises(ClosedError):
            self.make(other)
        other.close()
        stream.send(1.0)
