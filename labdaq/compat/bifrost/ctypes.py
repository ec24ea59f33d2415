"""Python's ``ctypes``, with a ``create_string_buffer`` that takes texts: the tutorial's callback hands it one."""

from typing import Any

from labdaq.native import pointers
from labdaq.native.pointers import c_void_p, cast, create_string_buffer

__all__ = ["c_void_p", "cast", "create_string_buffer"]


def __getattr__(name: str) -> Any:
    return getattr(pointers.ctypes, name)
