"""From bytes to (sequence number, source, setup): the function of a format, compiled.

The loops that place packets are compiled once for all formats. They call the decoder of a format through a function
pointer, which costs some 2 ns a packet; only this small function is compiled for each format, in 0.1 s.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.native.atomics import peek, poke
from labdaq.packet import words as w
from labdaq.packet.format import Capturing, PacketFormat
from labdaq.packet.loads import LOADS

__all__ = ["Decoder", "compiled"]


class Decoder:
    """A compiled function that other compiled functions take as an argument and call.

    ``decoder(packet, nbytes, capturing, result) -> reason``: addresses and a length; 0 when the packet is good.

    Notes
    -----
    numba would take its own function object, too, but needs 20 microseconds to see what it is.
    """

    def __init__(self, function: Callable[..., int]) -> None:
        from numba import cfunc, types

        self._signature = types.int64(*[types.int64] * 4)
        self._function = cfunc(self._signature, nopython=True, error_model="numpy")(function)
        self._numba_type_ = types.FunctionType(self._signature)
        self._address = int(self._function.address)

    def __wrapper_address__(self) -> int:
        return self._address

    def signature(self) -> Any:
        """For numba."""
        return self._signature


@functools.lru_cache(maxsize=64)
def compiled(packet_format: PacketFormat) -> Decoder:
    """The decoder of a format, compiled when it is first used.

    Raises
    ------
    LayoutError
        When `decode` cannot be compiled, or does not return what the format promises; says why.
    """
    from numba.core.errors import NumbaError  # noqa: TID251 - the only public name of its errors

    scope = _scope(packet_format)
    try:
        scope["decode"] = _steps(packet_format, packet_format.decode, scope)
        source = _source(packet_format, _count_of_results(packet_format, scope))
        exec(source, scope)  # noqa: S102 - made of field names and numbers only
        return Decoder(scope["decoder"])
    except NumbaError as error:
        raise LayoutError(f"format {packet_format.name!r}: decode cannot be compiled: {_last_lines(error)}") from error


def _last_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "\n  ".join([line for line in lines if not line.startswith("For more information")][:12])


def _scope(packet_format: PacketFormat) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "peek": peek,
        **LOADS,
        "poke": poke,
        "Header": packet_format.header_tuple(),
        "Capturing": Capturing,
    }
    for name, function in (("payload", packet_format.payload), ("begin_of", packet_format.begin)):
        if callable(function):
            scope[name] = _steps(packet_format, function, scope)
    return scope


def _steps(packet_format: PacketFormat, function: Callable[..., Any], scope: dict[str, Any]) -> Any:
    """A function of a format, as a part of its decoder."""
    from numba import njit

    parameters = len(inspect.signature(getattr(function, "py_func", function)).parameters)
    if parameters not in {1, 2}:
        raise LayoutError(
            f"format {packet_format.name!r}: {getattr(function, '__name__', 'a function')} takes (header) or "
            f"(header, capturing), not {parameters} arguments"
        )
    if function is packet_format.decode:
        scope["arguments"] = parameters
    return (
        function
        if hasattr(function, "py_func")
        else njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    )


def _count_of_results(packet_format: PacketFormat, scope: dict[str, Any]) -> int:
    """How many values `decode` returns, which numba knows without calling it."""
    from numba import typeof, types

    zeros = typeof(scope["Header"](*(np.int64(0) for _ in packet_format.fields)))
    known = typeof(Capturing(0, 0, 0, 0))
    arguments = (zeros, known)[: scope["arguments"]]
    scope["decode"].compile(arguments)
    result = scope["decode"].overloads[arguments].signature.return_type
    is_tuple = isinstance(result, types.BaseTuple)
    count = len(result) if is_tuple else 1
    wanted = (2, 2 + len(packet_format.values))
    if not is_tuple or count not in wanted:
        what = f"{count} values" if is_tuple else f"{result}, which is 1 value and no tuple"
        raise LayoutError(
            f"format {packet_format.name!r}: decode returns {what}; it has to return sequence number and source, then "
            f"{', '.join(packet_format.values) or 'nothing'}: {' or '.join(map(str, sorted(set(wanted))))} values"
        )
    names = ("the sequence number", "the source", *packet_format.values)
    for name, kind in zip(names, result, strict=False):
        _check_whole(packet_format, f"decode returns {name}", kind)
    for name in ("payload", "begin_of"):
        if name in scope:
            scope[name].compile(arguments[:1])
            kind = scope[name].overloads[arguments[:1]].signature.return_type
            _check_whole(packet_format, f"{name.removesuffix('_of')} returns bytes", kind)
    unknown = set(packet_format.values) - set(packet_format.fields)
    if count == 2 and unknown:
        raise LayoutError(
            f"format {packet_format.name!r}: {', '.join(sorted(unknown))} are no fields of the header: decode has to "
            "return them"
        )
    return count


def _check_whole(packet_format: PacketFormat, what: str, kind: Any) -> None:
    """Refuse numbers that would be cut off: fractions, and what is no number at all."""
    from numba import types

    if isinstance(kind, types.Integer | types.Boolean):
        return
    hint = "divide by // instead of /" if isinstance(kind, types.Float) else ""
    raise LayoutError(
        f"format {packet_format.name!r}: {what} as {kind}, and only integers can be counted"
        + (f": {hint}" if hint else "")
    )


def _load(dtype: np.dtype[Any], offset: int) -> str:
    """The expression that reads a field."""
    bits = 8 * dtype.itemsize
    is_little = dtype.byteorder == "<" or (dtype.byteorder == "=" and np.little_endian)
    value = f"peek8(p + {offset})" if bits == 8 else f"{'le' if is_little else 'be'}{bits}(p + {offset})"
    top = 1 << (bits - 1)
    return f"(({value} ^ {top}) - {top})" if dtype.kind == "i" and bits < 64 else value


def _source(packet_format: PacketFormat, count: int) -> str:
    header: Any = packet_format.header
    size = header.itemsize
    loads = ", ".join(_load(header[name], header.fields[name][1]) for name in packet_format.fields)
    lines = [
        "def decoder(p, n, c, out):",
        "    poke(out + 8, -1)",
        "    poke(out + 24, -1)",
        f"    if n < {size}:",
        f"        return {w.WRONG_SIZE}",
        f"    h = Header({loads})",
        f"    begin = {'begin_of(h)' if packet_format.begin else size}",
        "    k = Capturing(peek(c), peek(c + 8), n - begin, peek(c + 24))",
        "    got = decode(h, k)" if _takes_two(packet_format) else "    got = decode(h)",
        "    seq, src = got[0], got[1]",
        f"    nbytes = {_payload(packet_format)}",
        "    poke(out, seq)",
        f"    poke(out + 8, src{'' if _takes_two(packet_format) else ' - peek(c + 8)'})",
        "    poke(out + 16, begin)",
        "    poke(out + 24, nbytes)",
    ]
    for i, name in enumerate(packet_format.values):
        lines.append(f"    poke(out + {32 + 8 * i}, {f'got[{2 + i}]' if count > 2 else f'h.{name}'})")
    wrong = f" or h.{packet_format.count} != {packet_format.number}" if _has_count(packet_format) else ""
    lines += [
        f"    if seq < 0 or seq >= {1 << 62} or nbytes <= 0:",
        f"        return {w.BAD_HEADER}",
        f"    if n - begin != nbytes{wrong}:",
        f"        return {w.WRONG_SIZE}",
        "    return 0",
    ]
    return "\n".join(lines)


def _takes_two(packet_format: PacketFormat) -> bool:
    decode = getattr(packet_format.decode, "py_func", packet_format.decode)
    return len(inspect.signature(decode).parameters) == 2


def _has_count(packet_format: PacketFormat) -> bool:
    return bool(packet_format.count) and packet_format.number is not None


def _payload(packet_format: PacketFormat) -> str:
    if packet_format.payload is None:
        return "n - begin"
    return "payload(h)" if callable(packet_format.payload) else str(packet_format.payload)
