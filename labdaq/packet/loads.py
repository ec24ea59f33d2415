"""Integers in memory, of any size, byte order and alignment, for compiled code.

Written byte by byte, as no machine can misread it; compilers make one load of it, and swap the bytes where needed.
"""

from labdaq.native import jit
from labdaq.native.atomics import peek8

__all__ = ["LOADS", "be16", "be32", "be64", "le16", "le32", "le64"]


@jit
def be16(p: int) -> int:
    """Big-endian, unsigned."""
    return peek8(p) << 8 | peek8(p + 1)


@jit
def be32(p: int) -> int:
    """Big-endian, unsigned."""
    return peek8(p) << 24 | peek8(p + 1) << 16 | peek8(p + 2) << 8 | peek8(p + 3)


@jit
def be64(p: int) -> int:
    """Big-endian; beyond 2**63 it is negative."""
    return be32(p) << 32 | be32(p + 4)


@jit
def le16(p: int) -> int:
    """Little-endian, unsigned."""
    return peek8(p + 1) << 8 | peek8(p)


@jit
def le32(p: int) -> int:
    """Little-endian, unsigned."""
    return peek8(p + 3) << 24 | peek8(p + 2) << 16 | peek8(p + 1) << 8 | peek8(p)


@jit
def le64(p: int) -> int:
    """Little-endian; beyond 2**63 it is negative."""
    return le32(p + 4) << 32 | le32(p)


LOADS = {"peek8": peek8, "be16": be16, "be32": be32, "be64": be64, "le16": le16, "le32": le32, "le64": le64}
"""By the names that generated decoders use."""
