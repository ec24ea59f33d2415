"""What a sender does for each chunk in shared memory, as one compiled step on the handle of its writer."""

from labdaq.native import jit
from labdaq.native.atomics import poke
from labdaq.ring.writing_steps import commit

__all__ = ["HEAD_NBYTES", "publish_chunk", "warm_chunks"]

HEAD_NBYTES = 64
"""Of the plane that says what is in a frame: five words are used, and a line of the cache has eight."""


@jit
def publish_chunk(  # noqa: PLR0917 - compiled code is called by position
    handle: int, frame: int, head: int, sequence: int, end: int, timestamp_ns: int, rows: int, before: int
) -> int:
    """Say what is in a frame that was claimed and filled, and publish it; LOST when it was taken away.

    ``head`` is the address of its row in the plane of that name.
    """
    poke(head, sequence)
    poke(head + 8, end)
    poke(head + 16, timestamp_ns)
    poke(head + 24, rows)
    poke(head + 32, before)
    return commit(handle, frame, frame + 1)


def warm_chunks() -> None:
    """Compile it before the first chunk waits for that."""
    from numba import types

    publish_chunk.compile((types.int64,) * 8)  # type: ignore[attr-defined]
