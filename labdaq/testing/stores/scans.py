"""Scans: their identity, info, states, and their end."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, NotFoundError
from labdaq.store import (
    DataStore,
    JsonStreamEncoder,
    NoScanAvailable,
    NoWritePermission,
    NumericStreamEncoder,
    Scan,
    ScanNotFoundError,
    ScanState,
    StateError,
)
from labdaq.testing.stores.base import StoreBase, while_it_waits

__all__ = ["STEPS", "ScanTests", "advance"]

STEPS: tuple[Callable[[Scan], None], ...] = (Scan.prepare, Scan.start, Scan.stop, Scan.close)


def advance(scan: Scan, state: ScanState) -> Scan:
    """Bring a scan to a state."""
    for step in STEPS[: state.value]:
        step(scan)
    return scan


class ScanTests(StoreBase):
    """One acquisition, driven by one object and seen by others."""

    # ------------------------------------------------------------------------------------- identity

    def test_who_it_is_can_be_read_as_attributes(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store, "muon", 7, session="night", path="/data/µ")
        for seen in (scan, store.load_scan(scan.key), other.load_scan(scan.key)):
            assert (seen.name, seen.number, seen.data_policy) == ("muon", 7, "none")
            assert (seen.session, seen.path, seen.proposal) == ("night", "/data/µ", None)
            assert (seen.key, seen.state, seen.created_ns) == (scan.key, ScanState.CREATED, scan.created_ns)
            assert seen.identity["collection"] is None
        with pytest.raises(AttributeError, match="data_policy"):
            _ = scan.weather

    def test_a_key_is_a_ulid(self, store: DataStore) -> None:
        keys = [self.make(store, number=n).key for n in range(20)]
        assert len(set(keys)) == 20
        assert all(re.fullmatch("labdaq:scan:[0-7][0-9A-HJKMNP-TV-Z]{25}", key) for key in keys)
        stream = self.make(store).create_stream("s", JsonStreamEncoder())
        assert re.fullmatch("labdaq:stream:[0-7][0-9A-HJKMNP-TV-Z]{25}", stream.key)

    def test_what_is_not_a_key_is_refused(self, store: DataStore) -> None:
        scan = self.make(store)
        stream = scan.create_stream("s", JsonStreamEncoder())
        for call in (store.load_scan, store.delete_scan, lambda key: store.get_scans_state([key])):
            for key in (stream.key, "", "labdaq:scan:../../etc/passwd", scan.key.lower(), scan.key + "\n"):
                with pytest.raises(DataError):
                    call(key)
        with pytest.raises(DataError):
            store.open_stream(scan.key)

    def test_keys_of_nothing(self, store: DataStore) -> None:
        with pytest.raises(ScanNotFoundError):
            store.load_scan("labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X")
        with pytest.raises(NotFoundError):
            store.open_stream("labdaq:stream:01HCYP7ARJ4NSG9VGPGDX6SN2X")
        assert store.get_scans_state(["labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X"]) == {}
        assert not store.delete_scan("labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"number": None},
            {"name": 3},
            {"number": "3"},
            {"number": True},
            {"session": 1.5},
            {"weather": "rain"},
            {"name": "a\0b"},
            {"number": 2**60},
        ],
    )
    def test_a_wrong_identity_makes_nothing(self, store: DataStore, wrong: dict[str, Any]) -> None:
        with pytest.raises(LayoutError):
            store.create_scan({"name": "muon", "number": 1, "data_policy": "none", **wrong})
        with pytest.raises(NoScanAvailable):
            store.get_last_scan()

    def test_a_wrong_info_makes_nothing(self, store: DataStore) -> None:
        with pytest.raises((TypeError, ValueError)):
            store.create_scan({"name": "muon", "number": 1, "data_policy": "none"}, info=5)  # type: ignore[arg-type]
        with pytest.raises(NoScanAvailable):
            store.get_last_scan()

    # ----------------------------------------------------------------------------------------- info

    def test_info_is_json_and_told_when_it_is_prepared(self, store: DataStore, other: DataStore) -> None:
        scan = store.create_scan({"name": "a", "number": 1, "data_policy": "none"}, {"who": "Åsa", "n": np.int64(4)})
        scan.info["axis"] = np.arange(3)
        scan.info["deep"] = {"x": [1, {"y": None}], 5: True, "nan": math.nan, "odd": "\udcff"}
        assert other.load_scan(scan.key).info == {}
        scan.prepare()
        info = other.load_scan(scan.key).info
        assert math.isnan(info["deep"].pop("nan"))
        assert info == {
            "who": "Åsa",
            "n": 4,
            "axis": [0, 1, 2],
            "deep": {"x": [1, {"y": None}], "5": True, "odd": "\udcff"},
        }

    def test_an_info_that_was_read_is_your_own(self, store: DataStore, other: DataStore) -> None:
        scan = store.create_scan({"name": "a", "number": 1, "data_policy": "none"}, {"list": [1]})
        scan.create_stream("s", JsonStreamEncoder(), {"list": [1]})
        scan.prepare()
        for place in (store, other):
            seen = place.load_scan(scan.key)
            seen.info["list"].append(2)
            seen.streams["s"].info["list"].append(2)
        seen = other.load_scan(scan.key)
        assert (seen.info, seen.streams["s"].info) == ({"list": [1]}, {"list": [1]})
        scan.start()

    def test_info_is_up_to_one_mib(self, store: DataStore) -> None:
        scan = self.make(store)
        scan.info["text"] = "x" * 2**20
        with pytest.raises(LayoutError, match="1 MiB"):
            scan.prepare()
        assert scan.state == store.load_scan(scan.key).state == ScanState.CREATED
        scan.info["text"] = "x" * 2**19
        scan.prepare()
        assert store.load_scan(scan.key).info == scan.info

    @pytest.mark.parametrize("step", [Scan.prepare, Scan.close])
    def test_info_that_is_not_json_changes_nothing(self, store: DataStore, step: Callable[[Scan], None]) -> None:
        scan = self.make(store)
        stream = scan.create_stream("s", JsonStreamEncoder())
        scan.info["bad"] = b"bytes"
        with pytest.raises(LayoutError, match="JSON"):
            step(scan)
        assert scan.state == store.load_scan(scan.key).state == ScanState.CREATED
        assert not stream.is_sealed()
        del scan.info["bad"]
        step(scan)

    @pytest.mark.parametrize(("state", "step"), [(ScanState.PREPARED, Scan.start), (ScanState.STARTED, Scan.stop)])
    def test_info_does_not_change_in_between(
        self, store: DataStore, state: ScanState, step: Callable[[Scan], None]
    ) -> None:
        scan = self.make(store)
        scan.info["gains"] = [1, 2]
        stream = scan.create_stream("s", JsonStreamEncoder())
        advance(scan, state)
        scan.info["gains"].append(3)
        with pytest.raises(StateError, match="info"):
            step(scan)
        assert scan.state == store.load_scan(scan.key).state == state
        assert not stream.is_sealed()
        stream.send("still")
        scan.info["gains"] = (1, 2)
        step(scan)
        assert scan.state == store.load_scan(scan.key).state == state + 1

    @pytest.mark.parametrize("state", [state for state in ScanState if state != ScanState.CLOSED])
    def test_info_may_change_before_it_is_closed(self, store: DataStore, other: DataStore, state: ScanState) -> None:
        scan = advance(self.make(store), state)
        scan.info["end"] = "well"
        scan.close()
        assert other.load_scan(scan.key).info == {"end": "well"}

    # --------------------------------------------------------------------------------------- states

    @pytest.mark.parametrize("state", ScanState)
    @pytest.mark.parametrize("step", STEPS[:3])
    def test_each_step_has_its_state(
        self, store: DataStore, other: DataStore, state: ScanState, step: Callable[[Scan], None]
    ) -> None:
        scan = advance(self.make(store), state)
        if STEPS.index(step) == state:
            step(scan)
            state = ScanState(state + 1)
        else:
            with pytest.raises(StateError, match=state.name):
                step(scan)
        assert scan.state == other.load_scan(scan.key).state == state
        assert other.get_scans_state([scan.key]) == {scan.key: state}

    @pytest.mark.parametrize("state", ScanState)
    def test_it_is_closed_from_any_state_and_again(self, store: DataStore, other: DataStore, state: ScanState) -> None:
        scan = advance(self.make(store), state)
        for _ in range(2):
            scan.close()
            assert scan.state == other.load_scan(scan.key).state == ScanState.CLOSED

    def test_states_of_many(self, store: DataStore, other: DataStore) -> None:
        scans = [advance(self.make(store, number=state), state) for state in ScanState]
        keys = [scan.key for scan in scans]
        assert other.get_scans_state(keys) == dict(zip(keys, ScanState, strict=True))
        assert other.get_scans_state([]) == {}

    def test_others_see_a_state_when_they_look(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        seen = other.load_scan(scan.key)
        for step in STEPS:
            before = seen.state
            assert not seen.update(block=False)
            step(scan)
            assert seen.state == before
            assert seen.update(timeout=10)
            assert seen.state == scan.state == before + 1
        assert not seen.update()
        assert not seen.update(block=False)

    def test_who_looks_rarely_sees_the_last_state(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        seen = other.load_scan(scan.key)
        advance(scan, ScanState.CLOSED)
        assert seen.update()
        assert seen.state == ScanState.CLOSED

    @pytest.mark.parametrize("timeout", [0, None, 20])
    def test_who_waits_for_a_state_is_woken(self, store: DataStore, other: DataStore, timeout: float | None) -> None:
        scan = self.make(store)
        seen = other.load_scan(scan.key)
        assert while_it_waits(lambda: seen.update(timeout=timeout), scan.prepare)
        assert seen.state == ScanState.PREPARED

    @pytest.mark.parametrize("timeout", [1e-6, 1e-3, 0.05])
    def test_waiting_for_a_state_has_an_end(self, store: DataStore, other: DataStore, timeout: float) -> None:
        seen = other.load_scan(self.make(store).key)
        assert not seen.update(timeout=timeout)
        with pytest.raises(LayoutError, match="timeout"):
            seen.update(timeout=-timeout)

    def test_who_drives_it_is_up_to_date(self, store: DataStore) -> None:
        with pytest.raises(StateError):
            self.make(store).update(block=False)

    def test_who_loads_it_does_not_drive_it(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        for seen in (store.load_scan(scan.key), other.load_scan(scan.key)):
            for step in STEPS:
                with pytest.raises(NoWritePermission):
                    step(seen)
            with pytest.raises(NoWritePermission):
                seen.create_stream("s", JsonStreamEncoder())
        assert store.load_scan(scan.key).state == ScanState.CREATED

    # -------------------------------------------------------------------------------------- streams

    def test_streams_are_told_with_the_next_state(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        early = scan.create_stream("early", NumericStreamEncoder("i2", (3,)), {"unit": "mV"})
        early.send(np.zeros(3, "i2"))
        early.join()
        seen = other.load_scan(scan.key)
        assert (list(scan.streams), list(seen.streams)) == (["early"], [])
        assert len(other.open_stream(early.key)) == 1
        scan.prepare()
        assert list(seen.streams) == []
        seen.update()
        stream = seen.streams["early"]
        assert (stream.name, stream.key, stream.info) == ("early", early.key, {"unit": "mV"})
        assert (stream.dtype, stream.shape, len(stream)) == (np.dtype("i2"), (3,), 1)
        assert stream == early
        assert hash(stream) == hash(early)
        late = scan.create_stream("late", JsonStreamEncoder())
        assert (late.dtype, late.shape) == (None, None)
        assert list(other.load_scan(scan.key).streams) == ["early"]
        scan.start()
        seen.update()
        assert list(seen.streams) == ["early", "late"]
        assert seen.streams["early"] is stream

    def test_names_of_streams(self, store: DataStore) -> None:
        scan = self.make(store)
        scan.create_stream("a/b: µ", JsonStreamEncoder())
        for name in ("a/b: µ", "", "x" * 201, "new\nline"):
            with pytest.raises(LayoutError):
                scan.create_stream(name, JsonStreamEncoder())
        with pytest.raises(LayoutError, match="JSON"):
            scan.create_stream("b", JsonStreamEncoder(), {"unit": b"mV"})
        assert list(scan.streams) == ["a/b: µ"]
        scan.close()
        with pytest.raises(StateError):
            scan.create_stream("b", JsonStreamEncoder())

    @pytest.mark.parametrize("end", [Scan.stop, Scan.close])
    def test_its_end_seals_what_was_made_here(
        self, store: DataStore, other: DataStore, end: Callable[[Scan], None]
    ) -> None:
        scan = self.make(store)
        names = ("sent", "empty", "sealed", "given up", "theirs", "they sealed")
        streams = {name: scan.create_stream(name, NumericStreamEncoder(float)) for name in names}
        advance(scan, ScanState.STARTED)
        for name in ("sent", "sealed", "given up"):
            streams[name].send([1.0, 2.0])
        streams["sealed"].seal()
        streams["given up"].close()
        seen = other.load_scan(scan.key)
        theirs = {name: seen.get_writer_stream(name) for name in ("theirs", "they sealed")}
        for stream in theirs.values():
            stream.send(3.0)
        theirs["they sealed"].seal()
        end(scan)
        assert {name: stream.is_sealed() for name, stream in streams.items()} == {n: n != "theirs" for n in names}
        theirs["theirs"].send(4.0)
        assert theirs["theirs"].seal() == 2
        assert {name: stream[:].tolist() for name, stream in seen.streams.items()} == {
            **{name: [1, 2] for name in ("sent", "sealed", "given up")},
            "empty": [],
            "theirs": [3, 4],
            "they sealed": [3],
        }
