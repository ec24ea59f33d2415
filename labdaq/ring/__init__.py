"""The engine: rings that threads and processes share.

From the bottom up:

`words`, `sequencer`                     the control block, and claims on it by compare-and-swap
`waiting`, `*_steps`                     what compiled code does: reserve, commit, acquire, release, observe
`control`, `participants`, `groups`,     the same block seen from Python: locks, who is there, reader groups,
`sequence_table`, `recovery`             sequences, what becomes of the dead
`spaces`, `layout`, `memory`             where data memory lives and how it is divided into arrays
`device_memory`, `fences`                the same for GPUs, and who there waits for whom
`core`                                   all of it for one ring in one process
`spans`, `sequence_*`, `event_*`, …      what users hold in their hands
`ring`                                   :class:`Ring`, the face
`copying`                                from one to another
"""

from labdaq.ring.copying import copy
from labdaq.ring.event_reading import Event, EventReader, EventsRead, Group
from labdaq.ring.event_writing import EventSpan, EventWriter, WriteEvent
from labdaq.ring.observer import ObservedEvent, Observer
from labdaq.ring.ring import Ring
from labdaq.ring.sequence_reading import ReadSequence, SequenceReader
from labdaq.ring.sequence_spans import ReadSpan
from labdaq.ring.sequence_table import Header
from labdaq.ring.sequence_writing import RingWriter, WriteSequence, WriteSpan
from labdaq.ring.statistics import GroupStatistics, ParticipantStatistics, RingStatistics
from labdaq.ring.system import clean, leftovers, statistics_of_all
from labdaq.ring.tensor import Tensor
from labdaq.ring.warming import warm

__all__ = [
    "Event",
    "EventReader",
    "EventSpan",
    "EventWriter",
    "EventsRead",
    "Group",
    "GroupStatistics",
    "Header",
    "ObservedEvent",
    "Observer",
    "ParticipantStatistics",
    "ReadSequence",
    "ReadSpan",
    "Ring",
    "RingStatistics",
    "RingWriter",
    "SequenceReader",
    "Tensor",
    "WriteEvent",
    "WriteSequence",
    "WriteSpan",
    "clean",
    "copy",
    "leftovers",
    "statistics_of_all",
    "warm",
]
