"""The checks that labdaq runs on itself, for the tests of your own plug-ins.

`leaks`   what a test left behind: threads, child processes, file descriptors, shared memory
`rings`   the contract of rings, for a new kind of memory to pass
`stores`  the contract of stores, for a new engine to pass; `store_machine` compares one with a plain model
`late_device`  a device without a GPU, which is as late as it may be: forgotten waits show
`faults`  processes that are killed: at random, or at their n-th transition
`store_faults`  embedded stores whose writers are killed, or whose file operations fail
`redis`   a Redis server for a test

Nothing in labdaq imports this room at run time. It needs ``pip install labdaq[test]``.
"""

from labdaq.errors import MissingExtraError

try:
    import hypothesis as hypothesis
    import pytest as pytest
except ImportError as error:
    raise MissingExtraError("labdaq.testing needs pytest and hypothesis: pip install 'labdaq[test]'") from error

for _module in ("rings", "stores", "store_machine"):
    pytest.register_assert_rewrite(f"labdaq.testing.{_module}")  # before it is imported

from labdaq.testing.faults import KillReport, dies_at, random_kills  # noqa: E402
from labdaq.testing.late_device import LateDevice  # noqa: E402
from labdaq.testing.leaks import inventory, leaks_since, no_leaks  # noqa: E402
from labdaq.testing.rings import RingTests, run_threads  # noqa: E402
from labdaq.testing.store_machine import StoreMachine  # noqa: E402
from labdaq.testing.stores import StoreTests  # noqa: E402

__all__ = [
    "KillReport",
    "LateDevice",
    "RingTests",
    "StoreMachine",
    "StoreTests",
    "dies_at",
    "inventory",
    "leaks_since",
    "no_leaks",
    "random_kills",
    "run_threads",
]
