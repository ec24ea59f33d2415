"""The balance of a capture: every packet that arrived, and every number that should have."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.packet import words as w

__all__ = ["Ledger"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Ledger:
    """What became of every packet. Two balances, which close at any moment.

    At the transport: ``arrived = handed_over + kernel_drops``, and ``handed_over = accepted + late + duplicate +
    ring_full + invalid + waiting``. By number, for each source: ``expected = accepted + missing + in_flight``.
    """

    handed_over: int
    """Packets that the capture was given."""
    accepted: int
    """Placed."""
    late: int
    """Came after their gulp was closed: raise ``open_gulps`` or ``ntime_gulp``. Part of `missing`."""
    duplicate: int
    """Were there before; nothing was changed."""
    ring_full: int
    """Came while readers held all of the ring: read faster, or give the ring more room. Part of `missing`."""
    invalid: dict[str, int]
    """By reason. ``bad_header``: not of this format. ``wrong_size``: cut short, or of another setup.
    ``wrong_source``: outside of ``src0 … src0 + nsrc - 1``. ``stray``: the only one of its setup, or far from all
    others in number."""
    waiting: int
    """Held back: good packets until it is known how their sequence begins, or one alone of another setup."""
    kernel_drops: int | None
    """Lost by the system since nobody fetched them: raise the receive buffer. None where that cannot be known."""
    expected: Counts = field(repr=False)
    """Of each source: first to last number of all sequences."""
    accepted_by_source: Counts = field(repr=False)
    missing: Counts = field(repr=False)
    """Of each source: numbers of closed gulps that did not come. They are zeros, with ``present`` 0."""
    in_flight: Counts = field(repr=False)
    """Of each source: numbers of open gulps that did not come yet."""
    by_source: dict[str, Counts] = field(repr=False)
    """Every reason for each source; the last entry is for packets of no known source."""
    drops_are_at_least: bool = False
    """Whether `kernel_drops` is a lower bound: of packets that were merged (GRO) the system counts one."""
    trailing_nbytes: int = 0
    """Bytes at the end of a file which are no whole packet."""
    skipped_nbytes: int = 0
    """Bytes of a file passed over in search of the next good header."""

    @classmethod
    def of(cls, counts: Counts, expected: Counts, missing: Counts, in_flight: Counts, **others: Any) -> "Ledger":
        """From the counters of a capture."""
        total = counts.sum(axis=0)
        named = {"accepted": w.ACCEPTED, "late": w.LATE, "duplicate": w.DUPLICATE, "ring_full": w.RING_FULL}
        return cls(
            accepted=int(total[w.ACCEPTED]),
            late=int(total[w.LATE]),
            duplicate=int(total[w.DUPLICATE]),
            ring_full=int(total[w.RING_FULL]),
            invalid={name: int(total[reason]) for name, reason in w.INVALID.items()},
            expected=expected,
            accepted_by_source=counts[:-1, w.ACCEPTED].copy(),
            missing=missing,
            in_flight=in_flight,
            by_source={name: counts[:, reason].copy() for name, reason in (named | w.INVALID).items()},
            **others,
        )

    @property
    def arrived(self) -> int | None:
        """Packets that came to the transport, at least; None where that cannot be known."""
        return None if self.kernel_drops is None else self.handed_over + self.kernel_drops

    @property
    def closes(self) -> bool:
        """Whether both balances do."""
        placed = self.accepted + self.late + self.duplicate + self.ring_full
        by_transport = self.handed_over == placed + sum(self.invalid.values()) + self.waiting
        by_number = np.array_equal(self.expected, self.accepted_by_source + self.missing + self.in_flight)
        return by_transport and by_number

    def __str__(self) -> str:
        invalid = ", ".join(f"{count} {reason}" for reason, count in self.invalid.items() if count)
        lines = [
            f"{self.handed_over} packets = {self.accepted} accepted + {self.late} late + {self.duplicate} duplicate + "
            f"{self.ring_full} ring full + {sum(self.invalid.values())} invalid{f' ({invalid})' if invalid else ''}"
            + (f" + {self.waiting} waiting" if self.waiting else ""),
            f"{self.expected.sum()} expected = {self.accepted_by_source.sum()} accepted + {self.missing.sum()} missing"
            + (f" + {self.in_flight.sum()} in flight" if self.in_flight.any() else ""),
        ]
        if self.kernel_drops:
            bound = " at least" if self.drops_are_at_least else ""
            lines.append(f"{self.kernel_drops} more{bound} were dropped by the system")
        if self.trailing_nbytes:
            lines.append(f"{self.trailing_nbytes} bytes at the end are no whole packet")
        if self.skipped_nbytes:
            lines.append(f"{self.skipped_nbytes} bytes were passed over in search of a good header")
        return "\n".join(lines) + ("" if self.closes else "\nTHE BALANCE DOES NOT CLOSE: please report it")
