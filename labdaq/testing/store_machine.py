"""A store against a plain model of it, whatever is done in whatever order.

::

    class MyStoreMachine(StoreMachine):
        def open_store(self):
            return DataStore(f"memory://{uuid.uuid4()}")


    TestMyStore = MyStoreMachine.TestCase
"""

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from labdaq.errors import LabdaqError, LayoutError, NotFoundError
from labdaq.store import (
    DataStore,
    EndOfStream,
    IndexNoMoreThereError,
    NoScanAvailable,
    NoWritePermission,
    ScanNotFoundError,
    ScanState,
    StateError,
    Stream,
)
from labdaq.store.keys import tag_order
from labdaq.testing.store_drawing import (
    ANY,
    DRAWN_INFO,
    DRAWN_VALUES,
    ENCODERS,
    NAMES,
    SLICES,
    SMALL,
    send_batch,
)
from labdaq.testing.store_model import Head, ModelScan, ModelStream, Viewer
from labdaq.testing.stores.base import as_list

__all__ = ["StoreMachine"]


class StoreMachine(RuleBasedStateMachine):
    """One thread, two store objects on the same place; nothing waits. The model says what must happen, errors too."""

    # ----------------------------------------------------------------------- what a subclass gives

    def open_store(self) -> DataStore:
        """An empty store."""
        raise NotImplementedError("give open_store()")

    def again(self, store: DataStore) -> DataStore:
        """Another store object on the same place."""
        return DataStore(store.url)

    # ----------------------------------------------------------------------------------- the model

    @initialize(kinds=st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=2, unique=True))
    def begin(self, kinds: list[str]) -> None:
        """Two objects, one scan."""
        first = self.open_store()
        self.stores = [first, self.again(first)]
        self.scans: list[ModelScan] = []
        self.viewers: list[Viewer] = []
        self.create(0, "muon", {})
        for kind in kinds:
            self.create_stream(0, kind, 0)

    def teardown(self) -> None:
        """Close both."""
        for store in getattr(self, "stores", []):
            store.close()

    @property
    def streams(self) -> list[ModelStream]:
        """All that were ever made."""
        return [stream for scan in self.scans for stream in scan.streams.values()]

    def pick_scan(self, which: int) -> ModelScan:
        """One of the scans; rather one that is there."""
        alive = [scan for scan in self.scans if not scan.deleted]
        known = alive if alive and which % 8 else self.scans
        return known[which // 8 % len(known)]

    def pick_stream(self, which: int) -> ModelStream:
        """One of the streams; rather one that is there."""
        alive = [stream for stream in self.streams if not stream.scan.deleted]
        known = alive if alive and which % 8 else self.streams
        return known[which // 8 % len(known)]

    def expect(self, error: type[BaseException] | None, action: Callable[[], Any]) -> Any:
        """Do something that must raise this very error, or none."""
        if error is None:
            return action()
        with pytest.raises(error) as raised:
            action()
        assert type(raised.value) is error or error in {LabdaqError, NotFoundError}, repr(raised.value)
        return None

    def handle(self, stream: ModelStream, through: int) -> Stream | None:
        """The stream, to be written through a store object."""
        if through not in stream.handles:
            if stream.scan.deleted:
                return None
            stream.handles[through] = self.stores[through].open_stream(stream.key, write=True)
        return stream.handles[through]

    # --------------------------------------------------------------------------------------- scans

    @precondition(lambda self: len(self.scans) < 6)
    @rule(through=st.integers(0, 1), name=st.sampled_from(NAMES), info=DRAWN_INFO)
    def create(self, through: int, name: str, info: dict[str, Any]) -> None:
        """A new scan, with a stream of each kind that is asked for later."""
        number = len(self.scans)
        driver = self.stores[through].create_scan({"name": name, "number": number, "data_policy": "none"}, info)
        tag, key = self.stores[1 - through].get_last_scan()
        assert key == driver.key
        self.scans.append(ModelScan(number, name, tag, driver, through, info=dict(info), key=key))

    @rule(which=ANY, info=DRAWN_INFO)
    def change_info(self, which: int, info: dict[str, Any]) -> None:
        """The driver says something else."""
        scan = self.pick_scan(which)
        if scan.driver is not None:
            scan.driver.info = dict(info)
            scan.info = dict(info)

    @rule(which=ANY, step=st.sampled_from(["prepare", "start", "stop", "close"]))
    def advance(self, which: int, step: str) -> None:
        """A step, allowed or not."""
        scan = self.pick_scan(which)
        if scan.driver is None:
            return
        error = scan.refuses_step(step)
        self.expect(error, getattr(scan.driver, step))
        if error is None:
            scan.step(step)
        assert scan.driver.state == scan.state
        for stream in [] if scan.deleted else scan.streams.values():
            assert self.stores[0].open_stream(stream.key).extent()[1:] == (len(stream.points), stream.sealed)

    @rule(which=ANY, through=st.integers(0, 1), force=st.sampled_from([False, False, True]))
    def delete(self, which: int, through: int, force: bool) -> None:
        """Delete it, if it is closed."""
        scan = self.pick_scan(which)
        store = self.stores[through]
        if not scan.deleted and scan.state != ScanState.CLOSED and not force:
            self.expect(StateError, lambda: store.delete_scan(scan.key))
            return
        assert store.delete_scan(scan.key, force=force) is not scan.deleted
        scan.deleted = True

    @rule(which=ANY, through=st.integers(0, 1))
    def load(self, which: int, through: int) -> None:
        """Look at a scan, and keep looking."""
        scan = self.pick_scan(which)
        seen = self.expect(
            ScanNotFoundError if scan.deleted else None, lambda: self.stores[through].load_scan(scan.key)
        )
        if seen is not None:
            self.viewers = [
                *self.viewers[-5:],
                Viewer(seen, through, scan, (scan.state, scan.told_info, scan.told_streams)),
            ]
            self.expect(NoWritePermission, seen.close)

    @precondition(lambda self: self.viewers)
    @rule(which=ANY)
    def update(self, which: int) -> None:
        """Look again."""
        viewer = self.viewers[which % len(self.viewers)]
        scan = viewer.scan
        news = self.expect(ScanNotFoundError if scan.deleted else None, lambda: viewer.seen.update(block=False))
        if news is not None:
            assert news == (viewer.shown[0] != scan.state)
            viewer.shown = (scan.state, scan.told_info, scan.told_streams)

    @rule(which=ANY, through=st.integers(0, 1), order=st.sampled_from(["oldest", "newest"]))
    def search(self, which: int, through: int, order: str) -> None:
        """All ways to find scans."""
        store = self.stores[through]
        alive = [scan for scan in self.scans if not scan.deleted]
        found = alive if order == "oldest" else alive[::-1]
        place = tag_order(self.scans[-1].tag)[1]
        limit, low = which % 4, which % 3
        for terms, expected in (
            ({}, found),
            ({"limit": limit}, found[:limit]),
            ({"name": "muon"}, [scan for scan in found if scan.name == "muon"]),
            ({"name": "muon*"}, [scan for scan in found if scan.name != "pion"]),
            ({"number": (low, low + 3)}, [scan for scan in found if low <= scan.number <= low + 3]),
        ):
            tag, keys = store.search_existing_scans(order=order, **terms)
            assert (tag_order(tag)[1], keys) == (place, [scan.key for scan in expected])
        since = self.scans[which % len(self.scans)]
        later = next(((scan.tag, scan.key) for scan in alive if scan.number > since.number), None)
        error = NoScanAvailable if later is None else None
        assert self.expect(error, lambda: store.get_next_scan(since.tag, block=False)) == later
        last = (alive[-1].tag, alive[-1].key) if alive else None
        assert self.expect(None if alive else NoScanAvailable, store.get_last_scan) == last
        assert store.get_scans_state([scan.key for scan in self.scans]) == {scan.key: scan.state for scan in alive}

    # --------------------------------------------------------------------------------------- streams

    @precondition(lambda self: len(self.streams) < 6)
    @rule(which=ANY, kind=st.sampled_from(sorted(ENCODERS)), copy=st.integers(0, 1))
    def create_stream(self, which: int, kind: str, copy: int) -> None:
        """A stream more."""
        scan = self.pick_scan(which)
        if scan.driver is None:
            return
        name = f"{kind} {copy}"
        error: type[BaseException] | None = None
        if scan.state == ScanState.CLOSED:
            error = StateError
        elif name in scan.streams:
            error = LayoutError
        elif scan.deleted:
            error = ScanNotFoundError
        driver = scan.driver
        stream = self.expect(error, lambda: driver.create_stream(name, ENCODERS[kind](), {"kind": kind}))
        if stream is not None:
            scan.streams[name] = ModelStream(scan, kind, stream.key, {scan.through: stream})

    @rule(
        which=ANY, through=st.integers(0, 1), data=st.data(), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=4)
    )
    def send(self, which: int, through: int, data: st.DataObject, sizes: list[int]) -> None:
        """Batches; 0 is one point that is sent as such."""
        self.send_to(self.pick_stream(which), through, data, sizes)

    @rule(data=st.data(), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=4))
    def send_more(self, data: st.DataObject, sizes: list[int]) -> None:
        """Batches by whoever writes already, so that there is something to read."""
        for stream in self.streams:
            if stream.writer is not None:
                self.send_to(stream, stream.writer, data, sizes)

    def send_to(self, stream: ModelStream, through: int, data: st.DataObject, sizes: list[int]) -> None:
        """Send batches of these sizes."""
        handle = self.handle(stream, through)
        if handle is None:
            return
        error = stream.refuses_points(through)
        for size in sizes:
            values = DRAWN_VALUES[stream.kind]
            points = data.draw(st.lists(values, min_size=max(size, 1), max_size=max(size, 1)))
            self.expect(error, lambda: send_batch(handle, stream.kind, points, size > 0))  # noqa: B023 - called here
            if error is None:
                stream.sent(points, through)

    @rule(which=ANY, through=st.integers(0, 1))
    def seal(self, which: int, through: int) -> None:
        """No more points."""
        stream = self.pick_stream(which)
        handle = self.handle(stream, through)
        if handle is None:
            return
        error = None if stream.sealed and not stream.scan.deleted else stream.refuses_points(through)
        length = self.expect(error, handle.seal)
        if error is None:
            assert length == len(stream.points)
            stream.sealed, stream.writer = True, None

    @rule(which=ANY, through=st.integers(0, 1))
    def give_up(self, which: int, through: int) -> None:
        """Let go of a stream."""
        stream = self.pick_stream(which)
        handle = self.handle(stream, through)
        if handle is not None:
            handle.close()
            stream.writer = None if stream.writer == through else stream.writer

    @rule(which=ANY, index=ANY)
    def trim(self, which: int, index: int) -> None:
        """Make room: as far as the engine can."""
        stream = self.pick_stream(which)
        if stream.scan.deleted:
            return
        reader = self.stores[0].open_stream(stream.key)
        wanted = index % (len(stream.points) + 2)
        self.stores[0].engine.trim(reader.record, wanted)
        extent = reader.extent()
        assert extent[1:] == (len(stream.points), stream.sealed)
        assert stream.first <= extent.first <= max(stream.first, min(wanted, len(stream.points)))
        assert extent.first in {*stream.batches, 0, len(stream.points)}
        stream.first = extent.first

    # --------------------------------------------------------------------------------------- reading

    @rule(which=ANY, through=st.integers(0, 1), indices=st.lists(SMALL, min_size=1, max_size=8))
    def index(self, which: int, through: int, indices: list[int]) -> None:
        """Some points, one by one."""
        stream = self.pick_stream(which)
        reader = self.reader(stream, through)
        if reader is None:
            return
        for index in indices:
            error = stream.refuses_index(index)
            found = self.expect(error, lambda: reader[np.int64(index)])  # noqa: B023 - called here
            if error is None:
                assert as_list(found) == stream.points[stream.number_of(index)]

    @rule(which=ANY, through=st.integers(0, 1), slices=st.lists(SLICES, min_size=1, max_size=5))
    def slice(self, which: int, through: int, slices: list[builtins.slice]) -> None:
        """Some points at once."""
        stream = self.pick_stream(which)
        reader = self.reader(stream, through)
        if reader is None:
            return
        for wanted in slices:
            error = stream.refuses_slice(wanted)
            found = self.expect(error, lambda: reader[wanted])  # noqa: B023 - called here
            if error is None:
                assert isinstance(found, list) == (stream.kind in {"ragged", "json"})
                assert as_list(found) == stream.points[wanted]

    def reader(self, stream: ModelStream, through: int) -> Stream | None:
        """The stream, to be read through a store object; None when it was deleted."""
        key = stream.key
        return self.expect(  # type: ignore[no-any-return]
            NotFoundError if stream.scan.deleted else None, lambda: self.stores[through].open_stream(key)
        )

    @rule(which=ANY, through=st.integers(0, 1), count=st.integers(-4, 4), last_only=st.booleans())
    def read(self, which: int, through: int, count: int, last_only: bool) -> None:
        """A cursor goes on reading."""
        stream = self.pick_stream(which)
        if through not in stream.heads:
            reader = self.reader(stream, through)
            if reader is None:
                return
            stream.heads[through] = Head(reader.cursor())
        head, length = stream.heads[through], len(stream.points)
        count = 0 if last_only else count
        wanted = -1 if last_only else count
        start = head.position if wanted >= 0 else max(head.position, length + wanted)
        stop = min(length, start + wanted) if wanted > 0 else length
        error: type[BaseException] | None = None
        if stream.scan.deleted:
            error = ScanNotFoundError
        elif head.position >= length:
            error = EndOfStream if stream.sealed else None
        elif start < stream.first:
            error = IndexNoMoreThereError
        found = self.expect(error, lambda: head.cursor.read(block=False, count=count, last_only=last_only))
        if error is None:
            assert (found[0], as_list(found[1])) == (start, stream.points[start:stop])
            head.skipped += start - head.position
            head.position = stop
        elif error is IndexNoMoreThereError:
            lost = stream.first - head.position
            assert head.cursor.skip_trimmed() == lost
            head.position, head.skipped = stream.first, head.skipped + lost
        assert (head.cursor.position, head.cursor.skipped) == (head.position, head.skipped)

    # ---------------------------------------------------------------------------------- bookkeeping

    @rule()
    def reopen(self) -> None:
        """The second object is closed, and another one opened: what it wrote is given up."""
        self.stores[1].close()
        self.stores[1] = self.again(self.stores[0])
        for scan in self.scans:
            if scan.through == 1:
                scan.driver = None
        for stream in self.streams:
            stream.handles.pop(1, None)
            stream.heads.pop(1, None)
            stream.writer = None if stream.writer == 1 else stream.writer
        self.viewers = [viewer for viewer in self.viewers if viewer.through == 0]

    @invariant()
    def what_was_loaded_stays_as_it_was(self) -> None:
        """A viewer shows what there was at its last update."""
        for viewer in getattr(self, "viewers", []):
            assert (viewer.seen.state, viewer.seen.info, tuple(viewer.seen.streams)) == viewer.shown
