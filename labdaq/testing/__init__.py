"""The checks that labdaq runs on itself, for the tests of your own plug-ins.

`leaks`   what a test left behind: threads, child processes, file descriptors, shared memory
`rings`   the contract of rings, for a new kind of memory to pass
`faults`  processes that are killed: at random, or at their n-th transition

Nothing in labdaq imports this room at run time. It needs ``pip install labdaq[test]``.
"""

from labdaq.errors import MissingExtraError

try:
    import pytest as pytest
except ImportError as error:
    raise MissingExtraError("labdaq.testing needs pytest: pip install 'labdaq[test]'") from error

pytest.register_assert_rewrite("labdaq.testing.rings")  # before it is imported

from labdaq.testing.faults import KillReport, dies_at, random_kills  # noqa: E402
from labdaq.testing.leaks import inventory, leaks_since, no_leaks  # noqa: E402
from labdaq.testing.rings import RingTests, run_threads  # noqa: E402

__all__ = [
    "KillReport",
    "RingTests",
    "dies_at",
    "inventory",
    "leaks_since",
    "no_leaks",
    "random_kills",
    "run_threads",
]
