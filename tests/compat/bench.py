"""Buffers of mimoCoRB2 by name, and workers at them, without a process."""

from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb2 import Exporter
from labdaq.compat.mimocorb2.mimo_buffer import BufferObserver, BufferReader, BufferWriter
from labdaq.compat.mimocorb2.mimo_worker import BufferIO, Config

WAVE = [("A", "f8"), ("B", "f8")]


class Bench:
    """Buffers by name, and workers at them."""

    def __init__(self, folder):
        self.folder, self.buffers, self.groups, self.ios, self.shut = folder, {}, {}, [], []

    def buffer(self, name, dtype=WAVE, length=4, slots=16):
        self.buffers[name] = NewBuffer(slots, length, dtype)
        self.groups[name] = self.buffers[name].new_reader_group()  # one for all: they share the events
        return self.buffers[name]

    def io(self, sources=(), sinks=(), observes=(), name="worker", **config):
        io = BufferIO(
            name,
            [BufferReader(one, self.groups[one]) for one in sources],
            [BufferWriter(one, self.buffers[one].new_writer(), self.shut.append) for one in sinks],
            [BufferObserver(one, self.buffers[one].new_observer()) for one in observes],
            Config(config),
            self.folder,
            self.folder,
        )
        self.ios.append(io)
        return io

    def fill(self, name, *values):
        """Events with these values, counters from 10 on, at 1, 2, 3 s; nothing follows."""
        writer = self.io(sinks=[name]).write[0]
        for number, value in enumerate(values):
            with writer as (metadata, slot):
                slot[slot.dtype.names[0]] = value
                metadata[0] = 10 + number, 1.0 + number, 0.5
        self.buffers[name].finish()

    def take(self, name):
        """Counter and first value of all that is there."""
        self.buffers[name].finish()
        found = [(int(m["counter"][0]), d[d.dtype.names[0]][0].item()) for d, m in Exporter(self.io([name]))]
        assert self.buffers[name].unread(self.groups[name]) == 0
        return found

    def close(self):
        for io in self.ios:
            for reader in io.read:
                reader.leave(None, None, None)
        for buffer in self.buffers.values():
            buffer.abort()
            buffer.close()
        for held in (self.buffers, self.groups, self.ios):
            held.clear()
