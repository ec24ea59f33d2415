"""What was sent, received and lost: frozen numbers that balance, at both ends."""

from dataclasses import dataclass

__all__ = ["ChunkInfo", "ClockOffset", "InputStatistics", "OutputStatistics", "ReaderStatistics", "StreamEvent"]


@dataclass(frozen=True)
class ChunkInfo:
    """Where the chunk that was received last belongs."""

    index: int
    """Absolute number of the sample after its last one."""
    rows: int
    sequence: int
    """Its number, in this session of the sender."""
    timestamp_ns: int
    """UTC of its end, by the clock of the sender."""
    session: int
    """Of the sender; another one after each restart."""
    missed_samples: int = 0
    """Samples that are missing right before it."""
    missed_chunks: int = 0
    """Chunks that are missing right before it."""


@dataclass(frozen=True)
class StreamEvent:
    """Something that happened to a connection."""

    kind: str
    """``connected``, ``lost`` (the sender does not answer), ``resumed``, ``restarted`` or ``ended``."""
    time_ns: int
    """UTC, by the clock of this machine."""
    text: str = ""


@dataclass(frozen=True)
class ReaderStatistics:
    """One reader, as its sender sees it: ``offered == delivered + dropped + lost + waiting``."""

    name: str
    offered: int
    """Chunks since it connected."""
    delivered: int
    """Chunks that it said it received."""
    dropped: int
    """Chunks that it was too slow for. Read faster, send larger chunks, or widen the window."""
    lost: int
    """Chunks on their way when its connection broke, or not read when it left."""
    waiting: int
    """Chunks on their way, or about to be."""
    connected: bool


@dataclass(frozen=True)
class OutputStatistics:
    """What a sender did. All in chunks, where nothing else is said."""

    sent: int
    """Chunks that were numbered; each was offered to all readers there were."""
    samples: int
    index: int
    """Absolute number of the next sample."""
    nbytes: int
    unheard: int
    """Chunks sent while nobody was connected. `wait_for_readers` prevents it."""
    refused: int
    """Chunks that ``policy='error'`` or a timeout refused; they have no number, and nobody got them."""
    malformed: int
    """Messages that were none: somebody else knocks at this port."""
    turned_away: int
    """Readers of another version, or without the right key."""
    readers: tuple[ReaderStatistics, ...]
    """Those that are connected, and those that were in this session."""


@dataclass(frozen=True)
class InputStatistics:
    """What a reader got; in one session ``received + missed`` is what the sender offered it."""

    received: int
    """Chunks."""
    missed: int
    """Chunks that were dropped for this reader, or lost on the way: gaps in their numbers."""
    samples: int
    missed_samples: int
    """Samples in gaps of the index; in the buffer the fill value stands for them."""
    index: int
    """Absolute number of the next sample."""
    malformed: int
    """Messages that were damaged, or not of this stream; they were passed over."""
    restarts: int
    """Times that the sender came back as a new one."""
    connected: bool


@dataclass(frozen=True)
class ClockOffset:
    """How the clock of a sender stands to ours."""

    offset_ns: int
    """Theirs minus ours: subtract it from their time stamps to have our time."""
    uncertainty_ns: int
    """Half of the shortest round trip: the truth is not farther away, if their clock did not jump meanwhile."""
