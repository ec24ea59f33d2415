"""Addresses that programs written for C libraries hand over: what they point to, and how such programs make them."""

import ctypes
from ctypes import c_void_p, cast
from typing import Any

from labdaq.errors import LayoutError

__all__ = ["bytes_at", "c_void_p", "cast", "create_string_buffer", "ctypes"]

_MOST = 1 << 20


def create_string_buffer(init: str | bytes | int, size: int | None = None) -> Any:
    r"""``ctypes.create_string_buffer``, which takes texts too, as UTF-8.

    Examples
    --------
    >>> create_string_buffer("µ").raw
    b'\xc2\xb5\x00'
    """
    content: Any = init.encode() if isinstance(init, str) else init
    return ctypes.create_string_buffer(content) if size is None else ctypes.create_string_buffer(content, size)


def bytes_at(pointer: Any, nbytes: int) -> bytes:
    """The bytes that a pointer points to.

    Parameters
    ----------
    pointer
        Of ``ctypes``: ``c_void_p``, another pointer, or an array; an address; or bytes.
    nbytes
        How many. They have to be there: a wrong number reads other memory, or ends the process.

    Raises
    ------
    LayoutError
        When it points to nothing, or the number is not from 0 to 1 MiB.

    Examples
    --------
    >>> bytes_at(cast(create_string_buffer("abc"), c_void_p), 2), bytes_at(b"abc", 3)
    (b'ab', b'abc')
    """
    if not 0 <= nbytes <= _MOST:
        raise LayoutError(f"{nbytes} bytes behind a pointer: 0 to {_MOST} make sense")
    if nbytes == 0:
        return b""
    if isinstance(pointer, str | bytes | bytearray | memoryview):
        content = pointer.encode() if isinstance(pointer, str) else bytes(pointer)
        return content[:nbytes]
    address = pointer if isinstance(pointer, int | None) else ctypes.cast(pointer, c_void_p).value
    if not address:
        raise LayoutError(f"{nbytes} bytes behind a pointer to nothing")
    return ctypes.string_at(address, nbytes)
