"""Reader groups: every group sees every frame, its members share the work, and it holds writers back."""

from labdaq.errors import BusyError, NotFoundError
from labdaq.ring import words as w
from labdaq.ring.control import Control, increase
from labdaq.ring.sequence_table import _claimed_end as claimed_end
from labdaq.ring.sequencer import freeze, reset

__all__ = ["dissolve", "find", "join", "leave", "names"]


def _slot(control: Control, number: int) -> int:
    return control.writers + (number + 1) * (w.RECORDS + 16 * w.CLAIM_SLOTS)


def live(control: Control) -> list[int]:
    """Sequencers of all groups there are."""
    slots = (_slot(control, number) for number in range(control[w.GROUPS_USED]))
    return [slot for slot in slots if control.at(slot + w.KIND) == w.GUARANTEED]


def name_of(control: Control, group: int) -> str:
    """The name of a group; empty for the group of one nameless reader."""
    return control.read_text(group + w.GROUP_NAME)


def names(control: Control) -> list[str]:
    """Names of all groups that have one."""
    return [name for group in live(control) if (name := name_of(control, group))]


def find(control: Control, name: str) -> int | None:
    """The sequencer of a named group."""
    return next((group for group in live(control) if name and name_of(control, group) == name), None)


def join(control: Control, name: str, *, owner: int, is_declared: bool, latest: bool = False) -> int:
    """Make a group, from the oldest frame that it can protect, or (``latest``) from the newest on.

    The ring must be locked. Writers are kept from claiming while the group appears, and work out their
    limits anew afterwards: a writer that did not know of the group cannot write over its first frame.

    Raises
    ------
    BusyError
        When there are as many groups as a ring can have.
    """
    for number in range(w.GROUP_SLOTS):
        group = _slot(control, number)
        if control.at(group + w.KIND) == w.FREE:
            break
    else:
        raise BusyError(f"a ring has at most {w.GROUP_SLOTS} reader groups: close some ({names(control)})")
    freeze(control.writers, w.CLAIM_SLOTS, owner)
    newest = claimed_end(control.writers, w.CLAIM_SLOTS)
    first = newest if latest else max(control[w.FIRST_FRAME], newest - control[w.CAPACITY])
    reset(group, w.CLAIM_SLOTS, first)
    control.put(group + w.MEMBERS, 0)
    control.put(group + w.IS_DECLARED, int(is_declared))
    control.put(group + w.JOINED_AT, first)
    control.write_text(group + w.GROUP_NAME, name)
    control.put(group + w.KIND, w.GUARANTEED)
    control[w.GROUPS_USED] = max(control[w.GROUPS_USED], number + 1)
    control.new_epoch()
    control.unfreeze(control.writers)
    return group


def leave(control: Control, group: int) -> None:
    """One member fewer; an undeclared group ends with its last. The ring must be locked."""
    left = increase(group + w.MEMBERS, -1) - 1
    if left <= 0 and not control.at(group + w.IS_DECLARED):
        dissolve(control, group)


def dissolve(control: Control, group: int) -> None:
    """End a group: writers wait for it no longer. The ring must be locked."""
    control.put(group + w.KIND, w.FREE)
    control.wake_all()


def missing(control: Control, name: str) -> NotFoundError:
    """The error for a group that does not exist."""
    return NotFoundError(f"no group {name!r}; there are: {names(control) or 'none'}")
