"""Reader groups: every group sees every frame, its members share the work, and it holds writers back."""

from labdaq.errors import BusyError, LayoutError
from labdaq.native.faults import fault_point
from labdaq.ring import words as w
from labdaq.ring.control import Control, end_of_claims
from labdaq.ring.participants import places
from labdaq.ring.sequencer import freeze, orphaned_frames, reset

__all__ = ["dissolve", "dissolve_empty", "find", "join", "live", "members", "name_of", "names"]

_NAME_NBYTES = 63
_MEMBERS = (w.READER, w.SEQUENCE_READER)


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


def checked_name(name: str) -> str:
    """A name that fits into the control block.

    Raises
    ------
    LayoutError
        When it is empty, or longer than 63 bytes.
    """
    if not name or len(name.encode()) > _NAME_NBYTES or "\0" in name:
        raise LayoutError(f"group {name!r}: a name has 1 to {_NAME_NBYTES} bytes, and no zero among them")
    return name


def join(control: Control, name: str, *, is_declared: bool) -> int:
    """Make a group, from the oldest frame that it can protect on.

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
    freeze(control.writers, w.CLAIM_SLOTS)
    newest = end_of_claims(control.writers)
    first = max(control[w.KEPT_FROM], newest - control[w.CAPACITY])
    reset(group, w.CLAIM_SLOTS, first)
    control.put(group + w.IS_DECLARED, int(is_declared))
    control.put(group + w.JOINED_AT, first)
    control.write_text(group + w.GROUP_NAME, name)
    control[w.GROUPS_USED] = max(control[w.GROUPS_USED], number + 1)
    control.put(group + w.KIND, w.GUARANTEED)
    fault_point()
    control.new_epoch()
    control.unfreeze(control.writers)
    return group


def members(control: Control, group: int) -> int:
    """How many readers share its work: counted from the table, so that nobody who dies leaves it wrong."""
    offset = group - control.address
    return sum(place[w.P_GROUP] == offset and place[w.P_ROLE] in _MEMBERS for place in places(control))


def dissolve_empty(control: Control) -> None:
    """End the groups that were not declared and have no members left. The ring must be locked."""
    for group in live(control):
        if not control.at(group + w.IS_DECLARED) and members(control, group) == 0:
            dissolve(control, group)


def dissolve(control: Control, group: int) -> None:
    """End a group: writers wait for it no longer. The ring must be locked."""
    held = orphaned_frames(group, w.CLAIM_SLOTS)
    control.put(group + w.KIND, w.FREE)
    control[w.UNDELIVERED] += held
    control.wake_all()
