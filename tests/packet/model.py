"""What capturing means, in plain Python: the definition against which the compiled engine is tested.

Frames are kept in a dictionary, there are no gulps in memory, and everything is decided packet by packet.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field

from tests.packet.toy import CHECK, HEADER, PAYLOAD

EMPTY_GULPS = 64


@dataclass(frozen=True)
class Packet:
    seq: int
    src: int
    chan: int
    tone: int
    payload: bytes


@dataclass
class Sequence:
    first: int
    chan: int
    next: int = 0
    placed: dict = field(default_factory=dict)
    tones: dict = field(default_factory=dict)


class Model:
    """Feed it packets in order of arrival, then look at `sequences` and `counts`."""

    def __init__(self, nsrc, gulp, gulps):
        self.nsrc, self.gulp, self.window = nsrc, gulp, gulp * gulps
        self.counts = Counter()
        self.sequences = []
        self.now = self.waiting = self.old = None
        self.begin = self.run = self.fresh = self.patience = 0
        self.gathered = []
        self.is_gathering = True

    # ---------------------------------------------------------------- one packet

    def feed(self, raw):
        packet = self.look_at(raw)
        if packet is None:
            return
        if self.is_gathering:
            self.gathered.append(packet)
            if len(self.gathered) >= 2 * self.nsrc + 2:
                self.begin_sequence()
            return
        self.place(packet)

    def look_at(self, raw):
        if len(raw) < HEADER.itemsize:
            return self.count("wrong_size", None)
        check, src, chan, tone = struct.unpack(">BBHB", raw[:5])
        (seq,) = struct.unpack("<Q", raw[5:13])
        if check != CHECK or seq >= 1 << 62:
            return self.count("bad_header", None)
        known = src if src < self.nsrc else None
        if len(raw) != HEADER.itemsize + PAYLOAD:
            return self.count("wrong_size", known)
        if known is None:
            return self.count("wrong_source", None)
        return Packet(seq, src, chan, tone, raw[13:])

    def count(self, reason, src):
        self.counts[reason, src] += 1

    def place(self, packet):
        if self.is_of_now(packet):
            while packet.seq >= self.begin + self.window:
                self.begin += self.gulp
                self.now.next = max(self.now.next, self.begin)
            self.note(packet, self.put(packet))
        elif self.waiting and self.agree(packet, self.waiting):
            self.gathered, self.waiting, self.is_gathering = [self.waiting, packet], None, True
            if len(self.gathered) >= 2 * self.nsrc + 2:
                self.begin_sequence()
        elif self.is_of_old(packet):
            self.count("late", packet.src)
        else:
            self.give_up()
            self.waiting, self.patience = packet, 2 * self.nsrc

    def put(self, packet):
        if packet.seq < self.begin:
            return "late"
        self.now.next = max(self.now.next, packet.seq + 1)
        if (packet.seq, packet.src) in self.now.placed:
            return "duplicate"
        self.now.placed[packet.seq, packet.src] = packet.payload
        self.now.tones[packet.src] = packet.tone
        return "accepted"

    def note(self, packet, reason):
        self.count(reason, packet.src)
        self.run = self.run + 1 if reason in ("late", "duplicate") else 0
        self.fresh -= 1
        if self.waiting:
            self.patience -= 1
            if self.patience <= 0:
                self.give_up()

    def give_up(self):
        if self.waiting:
            self.count("stray", self.waiting.src)
            self.waiting = None

    # ----------------------------------------------------------- whose packet it is

    def is_of_now(self, packet):
        now = self.now
        if now is None or packet.chan != now.chan or now.tones.get(packet.src, packet.tone) != packet.tone:
            return False
        if self.run >= self.gulp * self.nsrc and packet.seq < now.next:
            return False
        return -self.window <= packet.seq - self.begin < self.window + EMPTY_GULPS * self.gulp

    def is_of_old(self, packet):
        if self.old is None or self.fresh <= 0:
            return False
        first, end, chan = self.old
        return first <= packet.seq < end and packet.chan == chan

    def agree(self, one, other):
        return one.chan == other.chan and abs(one.seq - other.seq) < self.window

    # ------------------------------------------------------------------- sequences

    def begin_sequence(self):
        gathered, self.gathered, self.is_gathering = self.gathered, [], False
        chosen = next((p for p in gathered if sum(self.agree(p, q) for q in gathered) > 1), gathered[0])
        alike = [p for p in gathered if self.agree(chosen, p)] if len(gathered) > 1 else [chosen]
        if len(alike) == 1:
            alike = [chosen]
        self.end()
        first = min(p.seq for p in alike)
        self.now = Sequence(first, chosen.chan, first)
        for packet in reversed(alike):
            self.now.tones[packet.src] = packet.tone
        self.sequences.append(self.now)
        self.begin, self.run = first, 0
        self.fresh = self.window * self.nsrc
        for i, packet in enumerate(gathered):
            if self.is_gathering:
                self.gathered.append(packet)
                if len(self.gathered) >= 2 * self.nsrc + 2:
                    rest = gathered[i + 1 :]
                    self.begin_sequence()
                    for later in rest:
                        self.gathered.append(later) if self.is_gathering else self.place(later)
                        if self.is_gathering and len(self.gathered) >= 2 * self.nsrc + 2:
                            self.begin_sequence()
                    return
            else:
                self.place(packet)

    def end(self):
        if self.now:
            self.old = (self.now.first, self.now.next, self.now.chan)
            self.now = None

    def finish(self):
        while self.waiting or self.gathered:
            if self.waiting:
                self.gathered, self.waiting, self.is_gathering = [self.waiting, *self.gathered], None, True
            self.begin_sequence()
        self.end()
