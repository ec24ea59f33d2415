"""What arrives at a reader: chunks checked one by one, gaps counted, a sender that ends or begins anew."""

import socket
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ClosedError, DataError, EndOfDataError, LabdaqError, LayoutError, WaitTimeoutError
from labdaq.stream import header
from labdaq.stream.compression import codec_named
from labdaq.stream.header import CHUNK_HEAD_NBYTES, CHUNK_PREFIX_NBYTES, ChunkHead, Kind, chunk_place, chunk_prefix
from labdaq.stream.keys import StreamKeys
from labdaq.stream.link import Link, reader_name
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.shared import SharedReader
from labdaq.stream.statistics import ChunkInfo, InputStatistics

__all__ = ["Arrival"]

_REPORT_S = 0.25
_SLICE_S = 0.25
_FIRST_SLICE_S = 0.005

Chunk = tuple[int, NDArray[Any]]


class Arrival:
    """Chunks from one address, through whatever session of the sender is there.

    Attributes
    ----------
    is_scaled : bool
        Whether values have a scale or an offset.
    index : int
        Absolute number of the next sample.
    missed_before : int
        Samples that are missing right before the chunk that came last.
    spin_s : float or None
        How long to look again and again at shared memory before sleeping.
    """

    def __init__(
        self, address: str, *, keys: StreamKeys | None, server: str | None, most_nbytes: int, expected: dict[str, Any]
    ) -> None:
        self._expected, self._most_nbytes = expected, most_nbytes
        self.link = Link(
            address, keys=keys, server=server, most_nbytes=most_nbytes + header.CONTROL_NBYTES, name=reader_name()
        )
        self.parameters = StreamParameters()
        self.index = 0
        self.is_scaled = False
        self.missed_before = 0
        self._last: tuple[int, int, int, int, int] | None = None
        self._missed_chunks = 0
        self._prefix: bytes | None = None
        self._dtype: Any = None
        self._row_shape: tuple[int, ...] = ()
        self._row_nbytes = 0
        self._sequence = 0
        self._received = self._missed = self._samples = self._missed_samples = 0
        self._malformed = self._restarts = 0
        self._received_before = 0  # in sessions that are over
        self._since_report = self._nbytes_since_report = 0
        self._reported = time.monotonic()
        self._report_chunks, self._report_nbytes = 1, 1
        self._has_ended = self._is_end_news = self._is_closed = False
        self._farewell: tuple[int, int] | None = None
        self._shared: SharedReader | None = None
        self.spin_s: float | None = None
        self._codec: Any = None

    def join(self, timeout: float) -> None:
        """Wait until the sender has taken this reader in."""
        deadline = time.monotonic() + timeout
        while not self.link.session:
            try:
                self._take(self.link.receive(deadline))
            except self.link.again:
                self.link.check(deadline)

    # ------------------------------------------------------------------------------------ receiving

    def next(self, deadline: float | None, *, copy: bool) -> Chunk:
        """The next chunk; see `InputStream.recv`."""
        if self._is_closed:
            raise ClosedError("this stream was closed")
        is_first, is_news = True, False
        while True:
            if self._is_end_news:  # told before a successor is looked for
                self._is_end_news = False
                self._raise_end()
            if self._shared is not None:
                wait_s = 0.0 if is_news else _FIRST_SLICE_S if is_first else _SLICE_S
                chunk = self._from_memory(deadline, wait_s, copy=copy)
                if chunk is not None:
                    return chunk
            try:
                at_once = self._has_ended or self._shared is not None
                frames = self.link.receive(0.0 if at_once else deadline, first=is_first)
            except self.link.again:
                is_first = is_news = False
                if self._shared is None:
                    self._silence(deadline)
                continue
            found = self._take(frames)
            if found is not None:
                return found
            is_news = True  # a greeting takes several messages: all that came are heard before the next wait

    def _silence(self, deadline: float | None) -> None:
        """Nothing came for a while."""
        if self._has_ended:
            self._raise_end()
        self._report()
        self.link.check(deadline)

    def _raise_end(self) -> None:
        raise EndOfDataError(f"the sender at {self.link.address} has closed the stream")

    def _take(self, frames: list[Any]) -> Chunk | None:
        """A message; the chunk in it, if it is one."""
        head = frames[0]
        try:
            if head[:CHUNK_PREFIX_NBYTES] == self._prefix:
                return self._chunk(frames)
            if header.is_data(head):
                self._check_strange_chunk(head)
            else:
                self._control(header.kind_of(head), frames)
        except DataError as error:
            if isinstance(error, _RefusedError):
                raise
            self._malformed += 1
        return None

    def _control(self, kind: Kind, frames: list[Any]) -> None:
        if len(frames) != 1:
            raise DataError(f"{kind.name} has one frame")
        frame = frames[0]
        if kind is Kind.WHO:
            self.link.hello()
        elif kind is Kind.WELCOME:
            self._enter(header.unpack_json(frame))
        elif kind is Kind.REFUSED:
            reason = str(header.unpack_json(frame).get("reason"))[:500]
            raise _RefusedError(f"the sender at {self.link.address} refuses: {reason}")
        elif kind is Kind.END:
            session, sequence, index = header.unpack_words(frame, 3)
            if session == self.link.session:
                self._farewell = sequence, index
                if self._shared is None:  # else there may be chunks left in the memory
                    self._end()
        elif kind not in {Kind.PONG, Kind.NOTHING}:
            raise DataError(f"senders do not send {kind.name}")
        self.link.heard()

    def _chunk(self, frames: list[Any]) -> Chunk | None:
        sequence, end, timestamp_ns, nbytes, rows = chunk_place(frames[0])
        if nbytes != rows * self._row_nbytes or rows == 0 or nbytes > self._most_nbytes:
            raise DataError(f"{rows} samples in {nbytes} bytes")
        data = self._unpacked(frames, nbytes, (rows, *self._row_shape))
        self._accept(sequence, end, timestamp_ns, rows)
        self.link.heard()
        return end, data

    def _check_strange_chunk(self, head: bytes) -> None:
        """A chunk that does not begin as those of this session do."""
        if ChunkHead.unpack(head).session == self.link.session:
            raise DataError("a chunk that is not of this stream")
        # else it is of a life before: its gaps were counted when that ended

    def _unpacked(self, frames: list[Any], nbytes: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """The values of a chunk, aligned."""
        frame, begin = (frames[0], CHUNK_HEAD_NBYTES) if len(frames) == 1 else (_payload(frames), 0)
        size = len(frame) - begin
        self._since_report += 1
        self._nbytes_since_report += size
        if self._codec is not None:
            room: NDArray[Any] = self._codec.restore(memoryview(frame)[begin:], nbytes).view(self._dtype)
            return room.reshape(shape)
        if size != nbytes:
            raise DataError(f"{size} bytes instead of {nbytes}")
        data: NDArray[Any] = np.ndarray(shape, self._dtype, frame, begin)
        return data if data.flags.aligned else data.copy()

    @property
    def last(self) -> ChunkInfo | None:
        """Where the chunk that came last belongs."""
        if self._last is None:
            return None
        sequence, end, timestamp_ns, rows, session = self._last
        return ChunkInfo(
            index=end,
            rows=rows,
            sequence=sequence,
            timestamp_ns=timestamp_ns,
            session=session,
            missed_samples=self.missed_before,
            missed_chunks=self._missed_chunks,
        )

    def _accept(self, sequence: int, end: int, timestamp_ns: int, rows: int) -> None:
        """A good chunk: count it, and what is missing before it."""
        missed_chunks = sequence - self._sequence
        missed_samples = end - rows - self.index
        if missed_chunks or missed_samples:
            if missed_chunks < 0 or missed_samples < 0 or end >= 1 << 62:
                raise DataError(f"chunk {sequence} up to sample {end} comes again")
            self._missed += missed_chunks
            self._missed_samples += missed_samples
        self._missed_chunks, self.missed_before = missed_chunks, missed_samples
        self._sequence, self.index = sequence + 1, end
        self._received += 1
        self._samples += rows
        self._last = sequence, end, timestamp_ns, rows, self.link.session
        if self._since_report >= self._report_chunks or self._nbytes_since_report >= self._report_nbytes:
            self._acknowledge()

    # ------------------------------------------------------------------------------- shared memory

    def _from_memory(self, deadline: float | None, wait_s: float, *, copy: bool) -> Chunk | None:
        """The next chunk in the ring; None when there is reason to look at the socket."""
        shared = self._shared
        if shared is None:
            return None
        if shared.is_ready:
            wait_s = 0.0
        elif deadline is not None:
            wait_s = max(0.0, min(wait_s, deadline - time.monotonic()))
        try:
            found = shared.receive(wait_s, copy=copy)
        except WaitTimeoutError:
            self._report()
            self.link.look_after()
            if deadline is not None and time.monotonic() >= deadline and not self.link.has_news():
                raise WaitTimeoutError(f"no chunk came in time{self.link._state(time.monotonic())}") from None
            return None
        except EndOfDataError:
            self._leave_memory()
            return None
        if found is None:
            return None
        (sequence, end, timestamp_ns, rows, _), data = found
        if sequence < self._sequence:
            return None
        self._since_report += 1
        self._accept(sequence, end, timestamp_ns, rows)
        return end, data

    def _leave_memory(self) -> None:
        """The ring has ended: what the sender says now is its good-bye, or a new session."""
        if self._shared is not None:
            self._acknowledge()
            self._shared.close()
            self._shared = None
        if self._farewell is not None and not self._has_ended:
            self._end()

    # ------------------------------------------------------------------------------------ reporting

    def _acknowledge(self) -> None:
        self._since_report = self._nbytes_since_report = 0
        self._reported = time.monotonic()
        self.link.say(header.pack_words(Kind.ACK, self._sequence, self._received - self._received_before))

    def _report(self) -> None:
        if self._since_report:
            self._acknowledge()

    # -------------------------------------------------------------------------------------- session

    def _enter(self, content: dict[str, Any]) -> None:
        """The sender has taken us in, or tells what it did not know before."""
        parameters = StreamParameters.from_json(content.get("parameters"))
        try:
            session, sequence, index = (int(content[name]) for name in ("session", "sequence", "index"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"a greeting without a position: {error!r}") from error
        if not (0 < session < 1 << 63 and 0 <= sequence < 1 << 62 and 0 <= index < 1 << 62):
            raise DataError(f"a greeting with session {session}, sequence {sequence}, index {index}")
        self._check_expected(parameters)
        if session != self.link.session:
            self._begin_session(session, sequence, index)
        self.parameters = parameters
        self.is_scaled = parameters.is_scaled
        self._dtype, self._row_shape, self._row_nbytes = parameters.dtype, parameters.row_shape, parameters.row_nbytes
        self._codec = codec_named(parameters.compression)
        number = 0 if self._codec is None else self._codec.number
        self._prefix = chunk_prefix(number, session, parameters.schema) if parameters.is_fixed else None
        self._report_chunks = max(1, parameters.window // 4)
        self._report_nbytes = max(1, parameters.window_nbytes // 4)
        token = content.get("ring")
        if isinstance(token, str) and self._shared is None and parameters.transfermode == "sharedmem":
            self._attach(token, str(content.get("host"))[:100])

    def _begin_session(self, session: int, sequence: int, index: int) -> None:
        link = self.link
        if link.session:
            self._restarts += 1
        self._leave_memory()
        link.note("restarted" if link.session else "connected", f"session {session:x}")
        link.session, link.is_connected = session, True
        self._sequence, self.index = sequence, index
        self._received_before = self._received
        self._since_report = self._nbytes_since_report = 0
        self._has_ended, self._farewell = False, None

    def _attach(self, token: str, host: str) -> None:
        try:
            self._shared = SharedReader(token, self.parameters, self.spin_s)
        except DataError:
            raise
        except (LabdaqError, OSError) as error:
            if host != socket.gethostname():
                raise _RefusedError(
                    f"the stream at {self.link.address} is in the memory of {host!r}, which only readers there see: "
                    "send it with transfermode='plaindata'"
                ) from error
            return  # the ring is gone again: the sender has just ended
        self._acknowledge()

    def _check_expected(self, parameters: StreamParameters) -> None:
        for name, wanted in self._expected.items():
            given = getattr(parameters, name)
            if not (_shapes_fit(wanted, given) if name == "shape" else wanted == given):
                raise LayoutError(
                    f"the stream at {self.link.address} has {name}={given!r}, and {wanted!r} was expected"
                )

    def _end(self) -> None:
        """The sender has closed the stream: what it sent last and did not come is missing."""
        sequence, index = self._farewell or (0, 0)
        self._missed += max(0, sequence - self._sequence)
        self._missed_samples += max(0, index - self.index)
        self._sequence, self.index = max(sequence, self._sequence), max(index, self.index)
        self._acknowledge()
        self._has_ended = self._is_end_news = True
        self.link.note("ended")

    def statistics(self) -> InputStatistics:
        """Frozen."""
        return InputStatistics(
            received=self._received,
            missed=self._missed,
            samples=self._samples,
            missed_samples=self._missed_samples,
            index=self.index,
            malformed=self._malformed,
            restarts=self._restarts,
            connected=self.link.is_connected,
        )

    def close(self) -> None:
        """Leave."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._shared is not None:
            self._shared.close()
        received = self._received - self._received_before
        goodbye = header.pack_words(Kind.BYE, self._sequence, received) if self.link.session else None
        self.link.close(goodbye)


def _payload(frames: list[Any]) -> Any:
    """What is in the second frame of a chunk."""
    if len(frames) != 2 or len(frames[0]) != CHUNK_HEAD_NBYTES:
        raise DataError("a chunk is a head, and data")
    return frames[1].buffer


def _shapes_fit(wanted: tuple[int, ...] | None, given: tuple[int, ...] | None) -> bool:
    """Whether shapes agree where both are known."""
    if wanted is None or given is None:
        return True
    return len(wanted) == len(given) and all(
        -1 in pair or len({*pair}) == 1 for pair in zip(wanted, given, strict=True)
    )


class _RefusedError(DataError):
    """The sender does not want us: nothing that could be passed over."""
