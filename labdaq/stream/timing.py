"""Which sample belongs to which time, by the sender's clock and by ours, and to which sample of another stream."""

from abc import ABC, abstractmethod

from labdaq.errors import StateError
from labdaq.stream.clocks import SenderClock
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.statistics import ChunkInfo, ClockOffset

__all__ = ["SampleTimes"]


class SampleTimes(ABC):
    """The times of the samples of a stream, from the stamp of its last chunk and the sample rate.

    Attributes
    ----------
    clock : SenderClock
        What is known of the sender's clock; each `clock_offset` adds to it.
    """

    def __init__(self) -> None:
        self.clock = SenderClock()

    @property
    @abstractmethod
    def last(self) -> ChunkInfo | None:
        """Where the chunk that came last belongs."""

    @property
    @abstractmethod
    def parameters(self) -> StreamParameters:
        """What the stream is."""

    @abstractmethod
    def _asked_for_time(self, count: int, timeout: float) -> ClockOffset:
        """How the sender's clock stands to ours, from the fastest of some questions."""

    def _known(self) -> ChunkInfo:
        if self.last is None:
            raise StateError("nothing was received, so the time of no sample is known")
        return self.last

    def time_of(self, index: int) -> int:
        """UTC of a sample in ns, by the sender's clock.

        Raises
        ------
        StateError
            Before the first chunk.
        """
        last = self._known()
        return last.timestamp_ns + round((index - last.index) * 1e9 / self.parameters.sample_rate)

    def index_at(self, time_ns: int) -> int:
        """The sample at a UTC by the sender's clock: the inverse of `time_of`, rounded."""
        last = self._known()
        return last.index + round((time_ns - last.timestamp_ns) * self.parameters.sample_rate / 1e9)

    def clock_offset(self, count: int = 10, timeout: float = 2.0) -> ClockOffset:
        """How the sender's clock stands to ours, from the fastest of some questions.

        Raises
        ------
        WaitTimeoutError
            It does not answer.
        """
        measured = self._asked_for_time(count, timeout)
        self.clock.add(measured)
        return measured

    def local_time_of(self, index: int) -> int:
        """UTC of a sample in ns by our clock; asks for the sender's, if that was never done.

        Raises
        ------
        WaitTimeoutError
            The sender does not answer.
        """
        if not self.clock.measurements:
            self.clock_offset()
        return self.clock.to_ours(self.time_of(index))

    def index_matching(self, other: "SampleTimes", index: int) -> int:
        """The sample of this stream that was taken when another stream, of any machine, took one of its samples."""
        ours_ns = other.local_time_of(index)
        if not self.clock.measurements:
            self.clock_offset()
        return self.index_at(self.clock.to_theirs(ours_ns))
