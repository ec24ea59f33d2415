"""Records at raw addresses as arrays and values, for compiled code only.

Loops that hand records from one place to another need not know what is in them: they pass addresses on, are
compiled once for all, and cached. Only the function that looks into a record is compiled for its type.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from labdaq.errors import LayoutError

__all__ = ["Caller", "caller_of"]

_NOISE = ("Failed in nopython", "During: ", "This error", "- ")
_PLACE = re.compile(r'File "([^"]+)", line (\d+):\n(.*?)\n\s*\^', re.DOTALL)
_INNER = re.compile(r"(numba/.*|labdaq/native/records\.py)$")

Caller = types.FunctionType(types.int64(types.int64, types.int64))
"""The type of a function of two addresses, called through a pointer."""


def _pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001 - numba counts the arguments
    """An address as a pointer."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), code


def _read_only(_context: Any, array: Any) -> Any:
    """The same array, into which nothing may be written: that is refused when it is compiled."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        made = cgutils.create_struct_proxy(signature.return_type)(context, builder)
        for name in ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides"):
            setattr(made, name, getattr(given, name))
        return made._getvalue()

    return array.copy(readonly=True)(array), code


_at: Any = intrinsic(_pointer)
_frozen: Any = intrinsic(_read_only)


def caller_of(
    function: Any, data: tuple[np.dtype[Any], tuple[int, ...]], out: tuple[np.dtype[Any], tuple[int, ...]]
) -> Callable[[int, int], int]:
    """Compile ``function(data, out) -> n`` for being called with two addresses.

    Parameters
    ----------
    function
        Compiled by numba.
    data
        Dtype and shape of what lies at the first address; it is read-only. With shape (), the function gets a value.
    out
        Dtype and shape of what lies at the second.

    Returns
    -------
    numba dispatcher
        That can be passed where a :data:`Caller` is wanted.

    Raises
    ------
    LayoutError
        Numba cannot compile it for such data; says what stands in the way.

    Examples
    --------
    >>> from labdaq.native import jit
    >>> @jit(cache=False)
    ... def total(data, out):
    ...     out[0] = data.sum()
    ...     return 1
    >>> data, out = np.arange(4.0), np.zeros(1)
    >>> caller_of(total, (data.dtype, data.shape), (out.dtype, out.shape))(data.ctypes.data, out.ctypes.data), out[0]
    (1, np.float64(6.0))
    """
    (dtype, shape), (out_dtype, out_shape) = data, out
    if shape == ():

        def call(source: int, target: int) -> int:
            value = carray(_at(source), (1,), dtype)[0]
            return function(value, carray(_at(target), out_shape, out_dtype))  # type: ignore[no-any-return]
    else:

        def call(source: int, target: int) -> int:
            array = _frozen(carray(_at(source), shape, dtype))
            return function(array, carray(_at(target), out_shape, out_dtype))  # type: ignore[no-any-return]

    called: Any = njit(nogil=True, error_model="numpy")(call)
    try:
        called.compile(Caller.signature)
    except NumbaError as error:
        name = getattr(function, "__name__", "this")
        raise LayoutError(f"{name} cannot be compiled for {dtype} of shape {shape}: {_brief(error)}") from None
    return cast(Callable[[int, int], int], called)


def _brief(error: Exception) -> str:
    """What a compiler said, and of which line, without what it was doing meanwhile."""
    text = str(error)
    lines = (line.strip() for line in text.splitlines())
    reason = next((line for line in lines if line and not line.startswith(_NOISE)), text)
    if "Cannot modify readonly" in text:
        reason = "its input is read-only: write into out, or into a copy"
    places = [found for found in _PLACE.finditer(text) if not _INNER.search(found[1])]
    if not places:
        return reason
    file, line, code = places[0].groups()
    return f"{reason} ({Path(file).name}, line {line}: {code.splitlines()[-1].strip()})"
