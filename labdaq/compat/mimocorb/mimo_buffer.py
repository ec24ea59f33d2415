"""Buffers of events between processes, with the names and conventions of v1's ``mimo_buffer``."""

import itertools
import logging
import os
import time
from typing import Any

import numpy as np

from labdaq.compat.mimocorb.accounts import ONLY, Account
from labdaq.compat.mimocorb.buffer_access import Reader, Writer
from labdaq.compat.mimocorb.buffer_observer import Observer
from labdaq.compat.mimocorb.flags import (
    DEADTIME_PPB,
    DISCARDED,
    HELD,
    LIMIT,
    OBSERVERS_ACTIVE,
    PAUSED,
    READERS_ACTIVE,
    WRITERS_ACTIVE,
    Flag,
    Flags,
)
from labdaq.compat.mimocorb.metadata import METADATA
from labdaq.native.process import is_exiting
from labdaq.ring import Ring, RingStatistics

__all__ = ["NewBuffer", "Observer", "Reader", "Writer"]

_LOOK_EVERY_S = 0.005
_RESERVED_PATIENCE_S = 1.0

logger = logging.getLogger("labdaq.compat.mimocorb")


class NewBuffer:
    """A buffer of events that processes share.

    Writers fill slots, each reader group sees every event, observers see some and disturb nobody. A writer
    blocks while all slots wait for a group; without groups it never does.

    Parameters
    ----------
    number_of_slots
        How many events it holds.
    values_per_slot
        How many values of the dtype make an event.
    dtype
        Of the values; usually a list of ``(channel, dtype)``.
    debug
        Log who joins.

    Raises
    ------
    LayoutError
        When slots, values or dtype are not possible.
    ResourceError
        When there is not that much shared memory.

    Examples
    --------
    >>> buffer = NewBuffer(4, 2, [("chA", "f4")])
    >>> reader, writer = Reader(buffer.new_reader_group()), Writer(buffer.new_writer())
    >>> writer.get_new_buffer()["chA"][:] = 0.5, 1.5
    >>> writer.set_metadata(7, 1.75e9, 0.01)
    >>> writer.process_buffer()
    >>> reader.get()["chA"].tolist(), tuple(reader.get_metadata())
    ([0.5, 1.5], (7, 1750000000.0, 0.01))
    >>> reader.close()
    >>> buffer.shutdown()
    >>> buffer.close()
    """

    def __init__(self, number_of_slots: int, values_per_slot: int, dtype: Any, debug: bool = False) -> None:
        self.number_of_slots = number_of_slots
        self.values_per_slot = values_per_slot
        self.dtype = dtype
        self.metadata_dtype = METADATA
        self._debug = debug
        self._pid = os.getpid()
        self._ring = Ring(dtype=np.dtype(dtype), shape=(values_per_slot,), capacity=number_of_slots, space="shared")
        self._flags = Flags(f"{self._ring._core.token}.flags", create=True)
        self.writers_active = Flag(self._flags, WRITERS_ACTIVE)
        self.readers_active = Flag(self._flags, READERS_ACTIVE)
        self.observers_active = Flag(self._flags, OBSERVERS_ACTIVE)
        self.writers_paused = Flag(self._flags, PAUSED)
        for flag in (self.writers_active, self.readers_active, self.observers_active):
            flag.set()
        self._groups = itertools.count(1)
        self._last = (time.monotonic(), 0, 0)

    # ---------------------------------------------------------------------------- who takes part

    def new_reader_group(self, name: str = "") -> dict[str, Any]:
        """The setup dictionary for the readers of a new group, in any process.

        Writers wait for the group from now on. Somebody has to read it.

        Parameters
        ----------
        name
            By which it is known in :meth:`statistics`; unique in the buffer.
        """
        group = self._ring.group(name or f"reader group {next(self._groups)}")
        return self._setup(self.readers_active) | {"group": group.name}

    def new_writer(self) -> dict[str, Any]:
        """The setup dictionary for writers, in any process."""
        return self._setup(self.writers_active)

    def new_observer(self) -> dict[str, Any]:
        """The setup dictionary for observers, in any process."""
        return self._setup(self.observers_active)

    def _setup(self, active: Flag) -> dict[str, Any]:
        return {
            "number_of_slots": self.number_of_slots,
            "values_per_slot": self.values_per_slot,
            "dtype": self.dtype,
            "mshare_name": self._ring._core.token,
            "metadata_share_name": self._ring._core.token,
            "ring": self._ring,
            "flags": self._flags,
            "active": active,
            "paused": self.writers_paused,
            "account": Account(),
            "place": ONLY,
            "debug": self._debug,
        }

    def events_read(self, setup_dict: dict[str, Any]) -> int:
        """Events that a reader group has finished."""
        return sum(one.frames for one in self.statistics().groups if one.name == setup_dict["group"])

    def dismiss(self, setup_dict: dict[str, Any]) -> None:
        """Writers wait for this reader group no longer: nobody will read it any more."""
        self._ring.group(setup_dict["group"]).close()

    def limit_events(self, number: int) -> None:
        """Take no more than so many events: writers get a SystemExit instead of one more slot. 0: no limit."""
        self._flags[LIMIT] = number

    # ------------------------------------------------------------------------------------ status

    def buffer_status(self) -> tuple[int, int, float, float]:
        """What has happened; rate and dead time are those since the last call.

        Returns
        -------
        tuple
            Events so far; slots in use; events per second; mean dead time, as a fraction, of the events.
        """
        now, seen = time.monotonic(), self.statistics()
        events, dead_ppb = seen.frames_written, self._flags[DEADTIME_PPB]
        then, before, dead_before = self._last
        self._last = (now, events, dead_ppb)
        rate = (events - before) / max(now - then, 1e-9)
        deadtime = (dead_ppb - dead_before) / 1e9 / max(1, events - before)
        return events, round(seen.fill * self.number_of_slots), rate, deadtime

    def statistics(self) -> RingStatistics:
        """Everything that is known of the buffer and its users."""
        return self._ring.statistics()

    @property
    def ring(self) -> Ring:
        """The ring of events behind it: for statistics, observers and live plots."""
        return self._ring

    def unread(self, setup_dict: dict[str, Any]) -> int:
        """Events that are in the buffer, and that a reader group has not finished."""
        seen = self.statistics()
        lags = [group.lag for group in seen.groups if group.name == setup_dict["group"]]
        return max(lags[0] - seen.frames_reserved, 0) if lags else 0

    # ---------------------------------------------------------------------------------- its life

    def pause(self) -> None:
        """Ask the sources no longer (`rbImport`, `rbPut`); a plain `Writer` goes on."""
        self.writers_paused.set()

    def resume(self) -> None:
        """Ask the sources again."""
        self.writers_paused.clear()

    def hold(self, held: bool = True) -> None:
        """Let sources of mimoCoRB2 wait, or go on: paused they would discard what they take."""
        self._flags[HELD] = int(held)

    @property
    def events_discarded(self) -> int:
        """Events that came while it was paused, or took no more."""
        return self._flags[DISCARDED]

    def set_ending(self) -> None:
        """Take no more events; what is there can be read."""
        self.writers_paused.set()
        self.writers_active.clear()

    def finish(self) -> None:
        """Nobody will write any more: readers and observers end when they have seen what is there."""
        self.writers_active.clear()
        self._ring.end()

    def shutdown(self, patience: float = 5.0) -> None:
        """Take no more events, wait until all groups have read what is there, and let everyone end.

        Call it for one buffer after the other, beginning at the source.

        Parameters
        ----------
        patience
            Seconds to wait while nobody reads anything. What is left then is counted in a warning.
        """
        self.finish()
        self._await_readers(patience)
        self.abort()
        self.writers_paused.clear()

    def abort(self) -> None:
        """Let everyone end at once; what was not read is left behind."""
        self.finish()
        self.observers_active.clear()
        self.readers_active.clear()

    def _await_readers(self, patience: float) -> None:
        seen = self.statistics()
        since = time.monotonic()
        while left := max((group.lag for group in seen.groups), default=0):
            waited = time.monotonic() - since
            if waited > patience or (left <= seen.frames_reserved and waited > _RESERVED_PATIENCE_S):
                logger.warning("%s: %d events were left behind: nobody read for %.1f s", self._ring, left, waited)
                return
            time.sleep(_LOOK_EVERY_S)
            before, seen = seen, self.statistics()
            if _progress(seen) != _progress(before):
                since = time.monotonic()

    def close(self) -> None:
        """Give the buffer up in this process. The last process to do so removes its memory."""
        self._ring.close()
        self._flags.close()

    def __del__(self) -> None:
        # Programs of v1 forget their buffers without a word. No lock may be taken here: names are removed,
        # and memory goes when nobody looks at it any more.
        ring = getattr(self, "_ring", None)
        if ring is not None and self._pid == os.getpid() and not ring.closed and not is_exiting():
            ring._core._finalizer()


def _progress(seen: RingStatistics) -> tuple[int, ...]:
    return (seen.frames_read, seen.frames_written, seen.voided, *(group.open_claims for group in seen.groups))
