"""The checks that labdaq runs on itself, for the tests of your own plug-ins.

`leaks`  what a test left behind: threads, child processes, file descriptors, shared memory

Nothing in labdaq imports this room at run time. It needs ``pip install labdaq[test]``.
"""

from labdaq.errors import MissingExtraError

try:
    import pytest as pytest
except ImportError as error:
    raise MissingExtraError("labdaq.testing needs pytest: pip install 'labdaq[test]'") from error

from labdaq.testing.leaks import inventory, leaks_since, no_leaks

__all__ = ["inventory", "leaks_since", "no_leaks"]
