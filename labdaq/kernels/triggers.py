"""Where waveforms meet the condition of a trigger: level, edge, width, coincidence, prescale.

A *rising* edge is at sample i if sample i - 1 is below the level and sample i is not; a *falling* one if sample
i - 1 is above it and sample i is not. The signal is *beyond* a level at or above it after a rising edge, at or below
it after a falling edge. It must be beyond for `width` samples from the edge on, and each channel in coincidence beyond
its own level at one sample or more within `window` samples before or after the edge. The first of what is left then
counts, and each `prescale`-th after it. A waveform that begins beyond the level has no edge there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, NotFoundError
from labdaq.native import inlined, jit
from labdaq.roles import Trigger

__all__ = ["find_triggers", "find_triggers_into", "find_triggers_reference"]

Positions = npt.NDArray[np.int64]
Condition = tuple[float, int, int, int, int, int]


@jit
def _is_beyond(sample: float, level: float, direction: int) -> bool:
    return sample >= level if direction > 0 else sample <= level


@inlined
def _edge(before: float, sample: float, level: float) -> int:
    """1 for a rising edge between two samples, -1 for a falling one, else 0."""
    rises = (before < level) & (sample >= level)
    falls = (before > level) & (sample <= level)
    return int(rises) - int(falls)


@jit
def _stays_beyond(row: Any, i: int, level: float, direction: int, width: int) -> bool:
    end = i
    while end < min(i + width, row.shape[0]) and _is_beyond(row[end], level, direction):
        end += 1
    return end == i + width


@jit
def _coincide(event: Any, i: int, direction: int, window: int, others: Any) -> bool:
    channels, levels = others
    begin, end = max(0, i - window), min(event.shape[1], i + window + 1)
    for number in range(channels.shape[0]):
        is_beyond = False
        for k in range(begin, end):
            if _is_beyond(event[channels[number], k], levels[number], direction):
                is_beyond = True
                break
        if not is_beyond:
            return False
    return True


@jit
def find_triggers_into(waveforms: Any, condition: Condition, others: Any, positions: Any) -> int:
    """Write where the triggers of a batch of events are: a step, compiled, without allocation.

    Parameters
    ----------
    waveforms : ndarray, shape (events, channels, samples)
        Integer or real.
    condition : tuple
        Level, edge (1 rising, -1 falling, 0 both), channel, width, window and prescale.
    others : tuple of two ndarrays
        Channels in coincidence (int64), and their levels (float64).
    positions : ndarray of int64, shape (rows, 2)
        Event and sample of each trigger.

    Returns
    -------
    int
        How many triggers there are; those beyond the last row are counted, and not written.
    """
    level, wanted, channel, width, window, prescale = condition
    seen = found = 0
    for number in range(waveforms.shape[0]):
        event = waveforms[number]
        row = event[channel]
        before = row[0] if row.shape[0] else level
        for i in range(1, row.shape[0]):
            edge, before = _edge(before, row[i], level), row[i]
            if not edge or edge == -wanted or not _stays_beyond(row, i, level, edge, width):
                continue
            if not _coincide(event, i, edge, window, others):
                continue
            if seen % prescale == 0:
                if found < positions.shape[0]:
                    positions[found, 0], positions[found, 1] = number, i
                found += 1
            seen += 1
    return found


def find_triggers(waveforms: npt.ArrayLike, trigger: Trigger, channels: Sequence[str] = ()) -> Positions:
    """Find where waveforms meet the condition of a trigger.

    Parameters
    ----------
    waveforms : array_like
        Integer or real samples: one row, shape (samples,); an event, shape (channels, samples); or a batch of events,
        shape (events, channels, samples).
    trigger : Trigger
        The condition; its levels are in the unit of the waveforms.
    channels : sequence of str
        Names of the channels, for a trigger that names them.

    Returns
    -------
    ndarray of int64
        The sample of each edge, shape (triggers,); of a batch event and sample, shape (triggers, 2), where the
        prescale counts on from event to event.

    Raises
    ------
    LayoutError
        If the waveforms are not real or have another number of axes.
    NotFoundError
        If there is no such channel.

    Examples
    --------
    >>> find_triggers([0, 5, 0, 0, 5, 6, 7, 0], Trigger(5, width=2))
    array([4])
    >>> find_triggers([[0, 5, 0, 5, 5], [0, 0, 0, 9, 0]], Trigger(5, coincidence=(("B", 9),), window=1), ["A", "B"])
    array([3])
    """
    samples, condition, others = _prepared(waveforms, trigger, channels)
    batch = samples.reshape((1,) * (3 - samples.ndim) + samples.shape)
    room = 64 + 2 * len(batch)
    while True:
        positions = np.empty((room, 2), np.int64)
        found = find_triggers_into(batch, condition, others, positions)
        if found <= room:
            return positions[:found].copy() if samples.ndim == 3 else positions[:found, 1].copy()
        room = found


def find_triggers_reference(waveforms: npt.ArrayLike, trigger: Trigger, channels: Sequence[str] = ()) -> Positions:
    """The definition of :func:`find_triggers`, in NumPy."""
    samples, (level, wanted, channel, width, window, prescale), others = _prepared(waveforms, trigger, channels)
    batch = samples.reshape((1,) * (3 - samples.ndim) + samples.shape).astype(np.float64)
    row = batch[:, channel]
    is_trigger = np.zeros(row.shape, np.bool_)
    for direction in (1, -1):
        if direction == -wanted:
            continue
        is_edge = np.zeros(row.shape, np.bool_)
        is_edge[:, 1:] = (direction * row[:, :-1] < direction * level) & (direction * row[:, 1:] >= direction * level)
        is_edge &= _count(direction * row >= direction * level, 0, width) == width
        for other, other_level in zip(*others, strict=True):
            is_beyond = direction * batch[:, other] >= direction * other_level
            is_edge &= _count(is_beyond, -window, window + 1) > 0
        is_trigger |= is_edge
    positions = np.argwhere(is_trigger)[::prescale]
    return positions if samples.ndim == 3 else positions[:, 1]


def _count(is_so: npt.NDArray[np.bool_], begin: int, end: int) -> Positions:
    """How many samples are so, from `begin` to before `end` after each sample."""
    n = is_so.shape[1]
    counted = np.zeros((len(is_so), n + 1), np.int64)
    np.cumsum(is_so, axis=1, out=counted[:, 1:])
    at = np.arange(n)
    result: Positions = counted[:, np.clip(at + end, 0, n)] - counted[:, np.clip(at + begin, 0, n)]
    return result


def _prepared(waveforms: npt.ArrayLike, trigger: Trigger, names: Sequence[str]) -> tuple[Any, Condition, Any]:
    """Samples, and the trigger in numbers, after all was checked."""
    samples = np.asarray(waveforms)
    if samples.ndim not in {1, 2, 3} or samples.dtype.kind not in "iuf":
        raise LayoutError(
            "triggers are found in real samples of shape (samples,), (channels, samples) or "
            f"(events, channels, samples), not in {samples.dtype}{samples.shape}"
        )
    count = 1 if samples.ndim == 1 else samples.shape[-2]
    edge = {"rising": 1, "falling": -1, "both": 0}[trigger.edge]
    channel = _channel(trigger.channel, names, count)
    others = (
        np.array([_channel(other, names, count) for other, _ in trigger.coincidence], dtype=np.int64),
        np.array([level for _, level in trigger.coincidence], dtype=np.float64),
    )
    condition = float(trigger.level), edge, channel, int(trigger.width), int(trigger.window), int(trigger.prescale)
    return samples, condition, others


def _channel(wanted: int | str, names: Sequence[str], count: int) -> int:
    number = list(names).index(wanted) if isinstance(wanted, str) and wanted in names else wanted
    if not isinstance(number, int) or not 0 <= number < count:
        there = ", ".join(map(repr, names)) or "no names"
        raise NotFoundError(f"no channel {wanted!r}; there are 0 to {count - 1}, with {there}")
    return number
