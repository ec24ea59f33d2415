"""All rings of this user on this machine: look at them, and clean up after crashes."""

import os
import time
from collections.abc import Iterator

from labdaq.errors import DataError, LabdaqError
from labdaq.native import mapping
from labdaq.ring import words as w
from labdaq.ring.control import Control, block_nbytes
from labdaq.ring.layout import DATA, Layout
from labdaq.ring.participants import places
from labdaq.ring.spaces import SPACES
from labdaq.ring.statistics import RingStatistics, ring_statistics

_YOUNG_NS = 60 * 10**9

__all__ = ["clean", "leftovers", "statistics_of_all"]


def _controls() -> Iterator[tuple[str, Control | None]]:
    """Tokens of all shared rings, with their control blocks where these can be read."""
    for path in sorted(mapping.folder().glob(f"labdaq-{os.getuid() if hasattr(os, 'getuid') else 0}-*.ring")):
        try:
            whole = path.stat().st_size >= block_nbytes()
            yield path.stem, Control.attach(SPACES["shared"].open_block(path.stem), path.stem) if whole else None
        except (OSError, DataError):
            yield path.stem, None


def _frame_nbytes(control: Control) -> int:
    generation = control[w.GENERATION]
    if generation == 0:
        return 0
    address = control.address + control[w.LAYOUTS] + (generation & 1) * w.LAYOUT_NBYTES
    return Layout.from_text(control.read_text(address, w.LAYOUT_NBYTES)).by_name[DATA].frame_nbytes


def statistics_of_all() -> list[RingStatistics]:
    """The statistics of every shared ring of this user that somebody uses."""
    found = []
    for _token, control in _controls():
        if control is None:
            continue
        attached = [p for p in places(control) if p[w.P_ROLE] == w.ATTACHED and not p.is_lost]
        if not attached:
            continue
        name = control.read_text(attached[0].address + w.P_LABEL)
        found.append(ring_statistics(control, name, "shared", _frame_nbytes(control)))
    return found


def _is_young(token: str) -> bool:
    """Whether it may be that its maker has not entered itself yet."""
    try:
        control = Control.attach(SPACES["shared"].open_block(token), token)
        return not places(control) and time.time_ns() - control[w.CREATED_NS] < _YOUNG_NS
    except (LabdaqError, OSError):
        path = mapping.folder() / f"{token}.ring"
        return path.exists() and time.time_ns() - path.stat().st_mtime_ns < _YOUNG_NS


def _without_ring() -> set[str]:
    """Data memory whose control block was removed by one who died before he came to the rest."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    paths = mapping.folder().glob(f"labdaq-{user}-*.[0-9]*")
    return {path.name for path in paths if not path.with_suffix(".ring").exists()}


def leftovers() -> list[str]:
    """Names of shared memory that no living process owns."""
    orphaned = []
    for token, control in _controls():
        attached = [] if control is None else [p for p in places(control) if p[w.P_ROLE] == w.ATTACHED]
        if all(place.is_lost for place in attached) and not _is_young(token):
            orphaned.append(token)
    names = {path.name for token in orphaned for path in mapping.folder().glob(f"{token}.*")}
    return sorted(names | _without_ring())


def clean() -> list[str]:
    """Remove shared memory that no living process owns; what was removed."""
    return [name for name in leftovers() if mapping.remove(name)]
