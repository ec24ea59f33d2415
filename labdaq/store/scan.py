"""Scans: one acquisition, with what was said about it, its state, and its streams."""

import copy
import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from labdaq.errors import BusyError, LayoutError, NotFoundError, NoWritePermission, StateError
from labdaq.store.encoding import Encoder, to_json_text
from labdaq.store.engine import Engine, ScanRecord, StreamRecord
from labdaq.store.keys import new_key
from labdaq.store.states import ScanState
from labdaq.store.stream import Stream
from labdaq.store.waiting import deadline_of, patiently

if TYPE_CHECKING:
    from labdaq.files.table import PathLike
    from labdaq.ring import Ring
    from labdaq.store.exchange.export import Exported
    from labdaq.store.recording import Recording

__all__ = ["Scan", "as_json"]

INFO_NBYTES = 2**20  # what is larger is data


class Scan:
    """A scan; made by `DataStore.create_scan` (and then driven by it), or `DataStore.load_scan` (to be read).

    The fields of its identity are attributes: ``scan.name``, ``scan.number``. What a scan that was loaded shows
    is how things stood at the last `update`.

    Attributes
    ----------
    info : dict
        What there is to say about it, as JSON. Whoever drives the scan may change it until `prepare`, and again
        until `close`; others see the changes of these two moments.

    Raises
    ------
    StateError
        From `prepare`, `start`, `stop`: the scan is in another state, or its info was changed in between. Nothing
        was changed then.
    NoWritePermission
        It was loaded to be read.
    """

    def __init__(self, engine: Engine, record: ScanRecord, *, writable: bool) -> None:
        self._engine = engine
        self._writable = writable
        self._record = record
        self._streams: dict[str, Stream] = {}
        self.info: dict[str, Any] = {}
        self._show(record)

    def _show(self, record: ScanRecord) -> None:
        self._record = record
        self.info = copy.deepcopy(dict(record.info))
        known = {name: stream for name, stream in self._streams.items() if name in {s.name for s in record.streams}}
        new = {s.name: Stream(self._engine, s) for s in record.streams if s.name not in known}
        self._streams = {**known, **new}

    @property
    def key(self) -> str:
        """The key by which others load it."""
        return self._record.key

    @property
    def state(self) -> ScanState:
        """The state at the last update."""
        return self._record.state

    @property
    def identity(self) -> dict[str, Any]:
        """The fields by which it is found; None where nothing was given."""
        return dict(self._record.identity)

    @property
    def is_writable(self) -> bool:
        """Whether it is driven here."""
        return self._writable

    @property
    def created_ns(self) -> int:
        """When it was made, UTC."""
        return self._record.created_ns

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams by name; empty before it is prepared, unless it is yours."""
        return dict(self._streams)

    def __getattr__(self, name: str) -> Any:
        identity = self.__dict__["_record"].identity if "_record" in self.__dict__ else {}
        if name in identity:
            return identity[name]
        raise AttributeError(f"a scan has no {name!r}; the fields of its identity are {', '.join(identity)}")

    # ------------------------------------------------------------------------------------ reading

    def update(self, block: bool = True, timeout: float | None = 0) -> bool:
        """Wait for a later state, and look at the scan again.

        Parameters
        ----------
        block
            Wait, for ``timeout`` seconds at most; 0 or None: for ever.

        Returns
        -------
        bool
            Whether anything changed; always False when it is closed.

        Raises
        ------
        ScanNotFoundError
            It was deleted.
        EndOfStream
            Nothing more will happen: the process that was to drive it died.
        """
        if self._writable:
            raise StateError("this scan is driven here, so it is always up to date; others load it and update")
        if self.state == ScanState.CLOSED:
            self._engine.load(self.key)
            return False

        def has_advanced() -> bool:
            return self._engine.load(self.key).state > self.state

        def lost() -> str | None:
            return self._engine.lost_owner(self.key)

        if not has_advanced() and not (
            block and patiently(self._engine, has_advanced, [self.key], deadline_of(timeout), lost)
        ):
            return False
        self._show(self._engine.load(self.key))
        return True

    def get_writer_stream(self, name: str) -> Stream:
        """Open a stream to be written, from here too: each stream has one writer at a time.

        Raises
        ------
        NotFoundError
            There is none with this name; lists those that there are.
        """
        if name not in self._streams:
            raise NotFoundError(f"no stream {name!r} in this scan; there are: {', '.join(self._streams) or 'none'}")
        return Stream(self._engine, self._streams[name].record, writable=True)

    def to_pandas(self, names: Iterable[str] | None = None, **options: Any) -> Any:
        """Streams as a DataFrame: see `labdaq.store.exchange.interchange.to_pandas`."""
        from labdaq.store.exchange.interchange import to_pandas

        return to_pandas(self, names, **options)

    def to_xarray(self, names: Iterable[str] | None = None, **options: Any) -> Any:
        """Streams as a Dataset: see `labdaq.store.exchange.interchange.to_xarray`."""
        from labdaq.store.exchange.interchange import to_xarray

        return to_xarray(self, names, **options)

    def to_arrow(self, names: Iterable[str] | None = None, **options: Any) -> Any:
        """Streams as an Arrow table: see `labdaq.store.exchange.interchange.to_arrow`."""
        from labdaq.store.exchange.interchange import to_arrow

        return to_arrow(self, names, **options)

    def export(self, path: "PathLike", **options: Any) -> "Exported":
        """Write it to a file, of the format that the suffix says: see `labdaq.store.exchange.export.export`."""
        from labdaq.store.exchange.export import export

        return export(self, path, **options)

    # ------------------------------------------------------------------------------------ driving

    def create_stream(self, name: str, encoder: Encoder, info: Mapping[str, Any] | None = None) -> Stream:
        """Declare a stream; others see it when the scan comes to its next state.

        Parameters
        ----------
        name
            Unique in the scan.
        encoder
            What its points are: a `NumericStreamEncoder` or a `JsonStreamEncoder`.
        info
            What there is to say about it, as JSON: ``unit``, ``label``.
        """
        self._check_writable()
        if self.state == ScanState.CLOSED:
            raise StateError("this scan is closed: it gets no more streams")
        if type(name) is not str or not 0 < len(name) <= 200 or not name.isprintable():
            raise LayoutError(f"{name!r} is not the name of a stream: up to 200 characters that can be printed")
        if name in self._streams:
            raise LayoutError(f"this scan has a stream {name!r} already")
        plain = as_json({} if info is None else info, f"the info of stream {name!r}")
        if not hasattr(encoder, "to_json"):
            raise LayoutError(f"{encoder!r} is no encoder: give NumericStreamEncoder(…) or JsonStreamEncoder()")
        record = StreamRecord(new_key("stream"), self.key, name, encoder.to_json(), plain)
        self._engine.declare(record)
        stream = Stream(self._engine, record, writable=True)
        self._streams[name] = stream
        return stream

    def record(self, ring: "Ring", name: str | None = None, *, guarantee: bool = True) -> "Recording":
        """Record a ring from now on: see `labdaq.store.record`."""
        from labdaq.store.recording import record

        return record(ring, self, name, guarantee=guarantee)

    def prepare(self) -> None:
        """Tell everybody the info and the streams."""
        self._check_state(ScanState.CREATED)
        self._advance(ScanState.PREPARED)

    def start(self) -> None:
        """Data are being taken from now on."""
        self._check_state(ScanState.PREPARED)
        self._check_info("it starts")
        self._advance(ScanState.STARTED)

    def stop(self) -> None:
        """Data were taken: seal the streams that were made here, unless somebody else is writing them."""
        self._check_state(ScanState.STARTED)
        self._check_info("it stops")
        self._seal()
        self._advance(ScanState.STOPPED)

    def close(self) -> None:
        """Finish the record, in any state; doing it again changes nothing."""
        self._check_writable()
        if self.state == ScanState.CLOSED:
            return
        as_json(self.info, "the info of this scan")
        self._seal()
        self._advance(ScanState.CLOSED)

    def _seal(self) -> None:
        for stream in self._streams.values():
            try:
                stream.seal()
            except BusyError:  # whoever writes it now seals it
                stream.close()

    def _advance(self, state: ScanState) -> None:
        info = as_json(self.info, "the info of this scan")
        streams = tuple(stream.record for stream in self._streams.values())
        record = ScanRecord(self.key, self.created_ns, self._record.identity, info, state, streams)
        self._engine.advance(record, self.state)
        self._record = record

    def _check_writable(self) -> None:
        if not self._writable:
            raise NoWritePermission(f"scan {self.key} was loaded to be read; who created it drives it")

    def _check_state(self, expected: ScanState) -> None:
        self._check_writable()
        if self.state != expected:
            raise StateError(f"this scan is {self.state.name}; for this it must be {expected.name}")

    def _check_info(self, when: str) -> None:
        if to_json_text(as_json(self.info, "the info of this scan")) != to_json_text(self._record.info):
            raise StateError(
                f"the info of this scan was changed before {when}: change it before prepare(), or after stop() and "
                "before close()"
            )

    # ------------------------------------------------------------------------------------- people

    def __repr__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.created_ns / 1e9))
        return (
            f"<scan {self._record.identity['name']!r} {self._record.identity['number']}, {self.state.name}, of {since}>"
        )

    def _repr_html_(self) -> str:
        from labdaq.store.pictures import scan_html

        return scan_html(self)


def as_json(info: Any, what: str) -> dict[str, Any]:
    """An info as it will be read back.

    Raises
    ------
    LayoutError
        It is no mapping, JSON cannot hold it, two of its keys become one, or it is larger than 1 MiB.
    """
    if not isinstance(info, Mapping):
        raise LayoutError(f"{what} is {type(info).__name__}; it is a mapping of names to what JSON can hold")
    text = to_json_text(dict(info))
    if len(text.encode(errors="replace")) > INFO_NBYTES:
        raise LayoutError(f"{what} takes {len(text)} characters; it is for up to 1 MiB, put data into streams")
    plain: dict[str, Any] = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, what))
    return plain


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    """A mapping of JSON, if no key stands there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = ", ".join(name for name, _value in pairs)
        raise LayoutError(f"in {what} two keys become the same text, among {names[:200]}")
    return found
