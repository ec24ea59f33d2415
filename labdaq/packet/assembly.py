"""Sequences and gulps: what is decided a few times per second, around the compiled loop that places packets."""

from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.packet import words as w
from labdaq.packet.batch import Batch, address_of
from labdaq.packet.decoding import compiled
from labdaq.packet.describing import SequenceCallback, describe_sequence
from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.gathering import Gathering
from labdaq.packet.gulps import OpenGulps
from labdaq.packet.inbox import Inbox
from labdaq.packet.ledger import Ledger
from labdaq.packet.placing import give_up_waiting
from labdaq.packet.receiving import receive_and_place
from labdaq.packet.sinks import Sink
from labdaq.packet.status import CaptureStatus

__all__ = ["Assembly"]

_MOST_EMPTY_GULPS = 64
_MOST_LOOKS = 100


class Assembly:
    """Puts packets in order: one for each capture, whatever its transport.

    Parameters
    ----------
    packet_format, nsrc, src0
        The packets, how many sources make up a frame, and the number of the first.
    sink
        Where gulps go.
    ntime_gulp
        Frames of a gulp.
    ntime_slot
        With `align`, sequences begin at a multiple of this number; else it is not used.
    open_gulps
        Gulps that are open at a time: the window within which packets may come in any order.
    rate
        For formats whose packets do not say it.
    callback
        Called with the :class:`Setup` when a sequence begins; returns its time tag and header.
    max_size
        The largest packet, in bytes.
    """

    def __init__(
        self,
        packet_format: PacketFormat,
        sink: Sink,
        *,
        nsrc: int,
        src0: int = 0,
        ntime_gulp: int = 256,
        ntime_slot: int | None = None,
        align: bool = False,
        open_gulps: int = 2,
        rate: int | None = None,
        callback: SequenceCallback | None = None,
        max_size: int = 1 << 16,
    ) -> None:
        _check_positive(nsrc=nsrc, ntime_gulp=ntime_gulp, open_gulps=open_gulps, max_size=max_size)
        if align and (ntime_slot is None or ntime_slot < 1):
            raise LayoutError(f"align=True begins at multiples of ntime_slot, which is {ntime_slot!r}")
        nsrc = 1 if packet_format.is_alone else nsrc
        self.format, self.sink, self.callback = packet_format, sink, callback
        self.nsrc, self.src0 = int(nsrc), int(src0)
        self._slot = int(ntime_slot) if align and ntime_slot else 1
        self._words = np.zeros(w.WORDS, np.int64)
        self._address = address_of(self._words)
        self._counts = np.zeros((nsrc + 1, w.REASONS), np.int64)
        self._by_source = np.zeros((nsrc, 1 + len(packet_format.values)), np.int64)
        self._stash = np.zeros(max_size, np.uint8)
        self._decoder = compiled(packet_format)
        self._setup: Setup | None = None
        self._sequences = 0
        window = open_gulps * ntime_gulp
        words = {
            w.GULP: ntime_gulp, w.OPEN: open_gulps, w.NSRC: nsrc, w.WINDOW: window,
            w.REACH: _MOST_EMPTY_GULPS * ntime_gulp,
            w.NSETUP: len(packet_format.setup), w.NVALUES: len(packet_format.values),
            w.CAPTURING: nsrc, w.CAPTURING + 1: src0, w.LARGEST: max_size, w.STASHED: address_of(self._stash),
            w.COUNTS: address_of(self._counts), w.BY_SOURCE: address_of(self._by_source),
        }  # fmt: skip
        for word, value in words.items():
            self._words[word] = value
        self._gulps = OpenGulps(self._words, sink)
        self.rate = rate
        self._held: Batch | None = None  # packets that were held back, and are to be placed now
        self._gathering = self._new_gathering()
        self._words[w.GATHERING] = 1

    # ------------------------------------------------------------------------------ what is seen

    @property
    def rate(self) -> int | None:
        """What formats learn: the decimation of TBN, frames per second of VDIF; None while it is not known."""
        return int(self._words[w.CAPTURING + 3]) or None

    @rate.setter
    def rate(self, value: int | None) -> None:
        if value is not None and not 0 < value < 1 << 31:
            raise LayoutError(f"rate {value!r}: a positive number, or None to learn it")
        self._words[w.CAPTURING + 3] = value or 0

    @property
    def is_active(self) -> bool:
        """Whether a sequence is open."""
        return bool(self._words[w.ACTIVE])

    @property
    def has_held(self) -> bool:
        """Whether packets that were held back are to be placed before others."""
        return self._held is not None

    @property
    def has_open_frames(self) -> bool:
        """Whether there are frames which were not handed out."""
        words = self._words
        return (
            bool(words[w.WAITING])
            or len(self._gathering) > 0
            or (self.is_active and bool(words[w.NEXT] > words[w.BEGIN]))
        )

    @property
    def setup(self) -> Setup | None:
        """Of the sequence that is open."""
        return self._setup

    def ledger(self, **others: Any) -> Ledger:
        """The balance of this moment, also while another thread places packets."""
        for _ in range(_MOST_LOOKS):
            before = int(self._words[w.HANDED])
            ledger = self._ledger({"kernel_drops": None, **others})
            if ledger.closes and before == self._words[w.HANDED]:
                break
        return ledger

    def _ledger(self, others: dict[str, Any]) -> Ledger:
        words = self._words
        is_waiting, handed = int(words[w.WAITING] > 0), int(words[w.HANDED])
        held = len(self._gathering) + (len(self._held) - self._held.position if self._held is not None else 0)
        open_frames = max(0, int(words[w.NEXT] - words[w.BEGIN])) if self.is_active else 0
        expected = np.full(self.nsrc, self._gulps.expected + open_frames)
        in_flight = open_frames - self._gulps.present()
        return Ledger.of(
            self._counts, expected, self._gulps.missing.copy(), in_flight,
            handed_over=handed + held, waiting=held + is_waiting, **others,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------- packets

    def place(self, batch: Batch) -> CaptureStatus | None:
        """Place packets until a gulp was handed out or a sequence began; None when the batch is used up.

        Raises
        ------
        LayoutError
            When payloads do not fill frames of so many sources.
        Exception
            What the callback raises; then no sequence has begun.
        """
        while True:
            now = batch if self._held is None else self._held
            now.place(self._decoder, self._address)
            status = self.attend(now)
            if status is not None:
                return status
            if now.is_used_up and self._held is None:
                return None

    def receive(self, inbox: Inbox) -> CaptureStatus | None:
        """Fetch packets from sockets and place them; None when Python should look at the time."""
        batch = inbox.batch
        batch.position = receive_and_place(
            inbox.address, batch.address, batch.offsets, batch.lengths, batch.position, self._decoder, self._address
        )
        return self.attend(batch)

    def place_held(self) -> CaptureStatus | None:
        """Place what was held back; None when all of it was."""
        while self._held is not None:
            self._held.place(self._decoder, self._address)
            status = self.attend(self._held)
            if status is not None:
                return status
        return None

    def attend(self, batch: Batch) -> CaptureStatus | None:
        """Do what the compiled loop asks for."""
        status = self._words[w.STATUS]
        if status == w.GULP_FULL:
            self._gulps.advance()
            return CaptureStatus.CONTINUED
        if status == w.NEW_SEQUENCE:
            self._hold_waiting()
        elif status == w.HOLD:
            batch.position += 1
            if self._gathering.add(batch.packet(batch.position - 1), int(self._words[w.PACKET + w.SRC])):
                return self._begin()
        elif batch is self._held:
            self._held = None
        return None

    def _hold_waiting(self) -> None:
        """The packet that waits is the first of those that begin a sequence."""
        words = self._words
        nbytes = int(words[w.WAITING])
        self._gathering = self._new_gathering()
        self._gathering.add(self._stash[:nbytes], int(words[w.STASH + w.SRC]))
        words[w.WAITING], words[w.GATHERING] = 0, 1
        words[w.HANDED] -= 1  # it is counted when it is placed

    def _new_gathering(self) -> Gathering:
        must_learn = self.format.learn is not None and self.rate is None
        return Gathering(self.format, self.nsrc, self._words[w.CAPTURING : w.CAPTURING + 4], must_learn=must_learn)

    def _begin_what_waits(self) -> bool:
        """Begin a sequence with what is held back, although more might come. Whether there was anything."""
        if self._words[w.WAITING]:
            self._hold_waiting()
        if not len(self._gathering):
            return False
        self._begin()
        self._place_all_held()
        return True

    def _place_all_held(self) -> None:
        while self._held is not None:
            self.place_held()

    def flush(self) -> bool:
        """Hand out all frames that were seen; the sequence goes on. Whether there were any."""
        self._place_all_held()
        if not self.is_active or len(self._gathering):
            self._begin_what_waits()
        if not self.is_active or self._words[w.NEXT] <= self._words[w.BEGIN]:
            return False
        self._gulps.hand_out(goes_on=True)
        return True

    def finish(self) -> bool:
        """End the sequence; a packet that waits makes one of its own. Whether there was any."""
        self._place_all_held()
        was_active = self.is_active
        while self._begin_what_waits():
            was_active = True
        self._end()
        self._gathering, self._words[w.GATHERING] = self._new_gathering(), 1
        return was_active

    def abandon(self) -> None:
        """End the sequence after an error: nothing new is begun, and what is held back is stray."""
        give_up_waiting(self._address)
        left = len(self._gathering) + (len(self._held) - self._held.position if self._held is not None else 0)
        self._counts[self.nsrc, w.STRAY] += left
        self._words[w.HANDED] += left
        self._gathering, self._held = self._new_gathering(), None
        self._end()

    # --------------------------------------------------------------------------------- sequences

    def _begin(self) -> CaptureStatus:
        """Begin a sequence with what was gathered, and place that next."""
        status = CaptureStatus.CHANGED if self._sequences else CaptureStatus.STARTED
        words, gathering = self._words, self._gathering
        if self.format.learn is not None and self.rate is None:
            self.rate = gathering.rate() or None
        records = gathering.records()
        chosen, alike = gathering.choose(records, int(words[w.WINDOW]))
        seen = int(records[alike, w.SEQ].min())
        first = -(-seen // self._slot) * self._slot
        self._end()
        self._know(records[alike])
        known = {"seq0": first, "nsrc": self.nsrc, "src0": self.src0, "rate": self.rate or 0}
        header = self.format.header_of(gathering.header(chosen))
        sequence = describe_sequence(
            self.format, header, records[chosen], self._by_source, known, self.callback, self._sequences
        )
        self._setup = sequence.setup
        words[w.CURRENT : w.CURRENT + w.RECORD] = records[chosen]
        words[w.CURRENT] = first
        self._gulps.begin(sequence)
        words[w.ACTIVE] = 1
        self._sequences += 1
        if first > seen:  # packets before the slot are late, and no reason for another sequence
            words[w.OLD : w.OLD + w.RECORD] = words[w.CURRENT : w.CURRENT + w.RECORD]
            words[w.OLD_BEGIN], words[w.OLD_NEXT] = seen - words[w.WINDOW], first
        words[w.FRESH] = words[w.OPEN] * words[w.GULP] * words[w.NSRC]
        self._hold_again(gathering.batch())
        return status

    def _hold_again(self, gathered: Batch) -> None:
        """What was gathered comes next, before what is left of an earlier gathering."""
        left = self._held
        if left is not None and not left.is_used_up:
            rest = [left.packet(i).tobytes() for i in range(left.position, len(left))]
            gathered = Batch.of([gathered.packet(i).tobytes() for i in range(len(gathered))] + rest)
        self._held = gathered
        self._gathering, self._words[w.GATHERING] = self._new_gathering(), 0

    def _know(self, records: Any) -> None:
        """Keep the first values of each source: the sequence begins with them."""
        values = len(self.format.values)
        self._by_source[...] = 0
        for record in records[::-1]:
            src = int(record[w.SRC])
            self._by_source[src, 0] = 1
            self._by_source[src, 1:] = record[w.VALUES : w.VALUES + values]

    def _end(self) -> None:
        words = self._words
        if not words[w.ACTIVE]:
            return
        self._gulps.hand_out(goes_on=False)
        words[w.ACTIVE] = 0
        words[w.OLD : w.OLD + w.RECORD] = words[w.CURRENT : w.CURRENT + w.RECORD]
        words[w.OLD_BEGIN], words[w.OLD_NEXT] = words[w.CURRENT], words[w.NEXT]


def _check_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise LayoutError(f"{name}={value!r}: a whole number of at least 1 is needed")
