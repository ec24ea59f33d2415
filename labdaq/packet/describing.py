"""What a new sequence is: everything that its first packets say, its frames, and how it is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.packet import words as w
from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["Description", "SequenceCallback", "describe_sequence"]

SequenceCallback = Callable[[Setup], tuple[int, Mapping[str, Any]]]
_ALWAYS = ("seq0", "time_tag", "ticks", "nsrc", "src0")


@dataclass(frozen=True)
class Description:
    """A sequence before it begins."""

    name: str
    setup: Setup
    layout: FrameLayout
    time_tag: int
    """Of the first frame."""
    header: dict[str, Any]

    def at(self, seq: int) -> "Description":
        """The same from a later frame on."""
        ahead = seq - self.setup.seq0
        if ahead == 0:
            return self
        time_tag = self.time_tag + ahead * self.setup.ticks
        header = {**self.header, "seq0": seq, "time_tag": time_tag}
        return Description(self.name, Setup({**self.setup, "seq0": seq}), self.layout, time_tag, header)


def describe_sequence(
    packet_format: PacketFormat,
    header: Any,
    record: NDArray[np.int64],
    by_source: NDArray[np.int64],
    known: dict[str, int],
    callback: SequenceCallback | None,
    number: int,
) -> Description:
    """Describe a sequence.

    Parameters
    ----------
    header, record
        Of the packet that it is made of: its fields, and what the decoder found.
    by_source
        A row for each source: whether it is known, then its own values.
    known
        ``seq0``, ``nsrc``, ``src0`` and ``rate``.
    callback, number
        Who gives time tag and header, and how many sequences there were before.

    Raises
    ------
    LayoutError
        When payloads do not fill the frame.
    Exception
        What the callback raises.
    """
    shared = dict(zip(packet_format.setup, record[w.VALUES :].tolist(), strict=False))
    first_own = 1 + len(packet_format.setup)
    own = {name: tuple(by_source[:, first_own + i].tolist()) for i, name in enumerate(packet_format.by_source)}
    values = {**header._asdict(), **shared, **own, **known, "seq": int(record[w.SEQ]), "nbytes": int(record[w.NBYTES])}
    of_packet = Setup(values)
    time_tag, ticks = packet_format.clock(of_packet) if packet_format.clock else (of_packet.seq, 1)
    values |= {"time_tag": time_tag - (of_packet.seq - of_packet.seq0) * ticks, "ticks": ticks}
    described = packet_format.describe(Setup(values)) if packet_format.describe else {}
    setup = Setup(values | described)
    layout = packet_format.layout_of(setup)
    if callback is not None:
        tag, said = callback(setup)
    else:
        kept = {name: setup[name] for name in (*_ALWAYS, *packet_format.values)}
        tag, said = setup.time_tag, {"format": packet_format.full_name, **kept, **described}
    return Description(f"{packet_format.name}-{number}", setup, layout, int(tag), dict(said))
