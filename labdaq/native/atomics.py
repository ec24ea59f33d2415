"""Memory operations on raw addresses, for compiled code only.

Every address is an int64; every word is an int64 unless the name says otherwise. All atomic operations
are sequentially consistent: on x86-64 a weaker load is the same instruction, and no gain was measured
elsewhere that would pay for reasoning about weaker orders. `publish` alone is weaker, where a full one costs.

Notes
-----
These are LLVM instructions, not library calls, so functions that use them can be cached. Inline assembly
cannot be used: the compiler that numba ships has no assembly parser.
"""

import platform
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "add",
    "add32",
    "compare_and_swap",
    "copy_bytes",
    "fence",
    "fill_bytes",
    "load",
    "load32",
    "pause",
    "peek",
    "peek8",
    "poke",
    "poke_f64",
    "publish",
    "stack_words",
    "store",
]

_I8, _I32, _I64, _F64 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_MACHINE = platform.machine().lower()
Builder = Any
Values = Any


def _define(name: str, doc: str, signature: Any, generate: Callable[[Builder, Values], Any]) -> Any:
    """One intrinsic from its signature and a function that emits its instructions."""

    def code(context: Any, builder: Builder, _signature: Any, arguments: Values) -> Any:
        value = generate(builder, arguments)
        return context.get_dummy_value() if signature.return_type is types.void else value

    typings: list[Callable[..., Any]] = [  # numba takes the number of arguments from the function itself
        lambda context: (signature, code),
        lambda context, a: (signature, code),
        lambda context, a, b: (signature, code),
        lambda context, a, b, c: (signature, code),
    ]
    typing = typings[len(signature.args)]
    typing.__name__ = typing.__qualname__ = name
    typing.__doc__ = doc
    return intrinsic(typing)


def _at(builder: Builder, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _pause(builder: Builder, _values: Values) -> None:
    """Tell the processor that this is a spin loop; nothing on machines without such a hint."""
    if _MACHINE in ("x86_64", "amd64"):
        hint = builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), ir.FunctionType(ir.VoidType(), []))
        builder.call(hint, [])
    elif _MACHINE in ("aarch64", "arm64"):
        kind = ir.FunctionType(ir.VoidType(), [_I32])
        builder.call(builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind), [ir.Constant(_I32, 1)])


def _swap(builder: Builder, v: Values) -> Any:
    result = builder.cmpxchg(_at(builder, v[0], _I64), v[1], v[2], "seq_cst", "seq_cst")
    return builder.zext(builder.extract_value(result, 1), _I64)


def _copy(builder: Builder, v: Values) -> None:
    cgutils.raw_memcpy(builder, _at(builder, v[0], _I8), _at(builder, v[1], _I8), v[2], 1)


def _fill(builder: Builder, v: Values) -> None:
    cgutils.memset(builder, _at(builder, v[0], _I8), v[1], builder.trunc(v[2], _I8))


_word, _half, _none = types.int64, types.int32, types.void

load = cast(
    Callable[[int], int],
    _define("load", "The word at an address, atomically.", _word(_word),
            lambda b, v: b.load_atomic(_at(b, v[0], _I64), "seq_cst", 8)),
)  # fmt: skip
store = cast(
    Callable[[int, int], None],
    _define("store", "Write the word at an address, atomically.", _none(_word, _word),
            lambda b, v: b.store_atomic(v[1], _at(b, v[0], _I64), "seq_cst", 8)),
)  # fmt: skip
compare_and_swap = cast(
    Callable[[int, int, int], int],
    _define("compare_and_swap", "(address, expected, new) -> 1 when it was expected and is now new, else 0.",
            _word(_word, _word, _word), _swap),
)  # fmt: skip
add = cast(
    Callable[[int, int], int],
    _define("add", "Add to the word at an address; the value before.", _word(_word, _word),
            lambda b, v: b.atomic_rmw("add", _at(b, v[0], _I64), v[1], "seq_cst")),
)  # fmt: skip
publish = cast(
    Callable[[int, int], None],
    _define("publish", "Write a word after everything written before it, without waiting for others to see it.",
            _none(_word, _word), lambda b, v: b.store_atomic(v[1], _at(b, v[0], _I64), "release", 8)),
)  # fmt: skip
load32 = cast(
    Callable[[int], int],
    _define("load32", "The 32-bit word at an address, atomically.", _half(_word),
            lambda b, v: b.load_atomic(_at(b, v[0], _I32), "seq_cst", 4)),
)  # fmt: skip
add32 = cast(
    Callable[[int, int], int],
    _define("add32", "Add to the 32-bit word at an address; the value before.", _half(_word, _half),
            lambda b, v: b.atomic_rmw("add", _at(b, v[0], _I32), v[1], "seq_cst")),
)  # fmt: skip
fence = cast(
    Callable[[], None],
    _define("fence", "No memory operation moves across this point.", _none(), lambda b, v: b.fence("seq_cst")),
)  # fmt: skip
pause = cast(Callable[[], None], _define("pause", "A short rest inside a spin loop.", _none(), _pause))
peek = cast(
    Callable[[int], int],
    _define("peek", "The word at an address that only this thread writes.", _word(_word),
            lambda b, v: b.load(_at(b, v[0], _I64))),
)  # fmt: skip
peek8 = cast(
    Callable[[int], int],
    _define("peek8", "The byte at an address, 0 to 255.", _word(_word),
            lambda b, v: b.zext(b.load(_at(b, v[0], _I8)), _I64)),
)  # fmt: skip
poke = cast(
    Callable[[int, int], None],
    _define("poke", "Write the word at an address that only this thread reads, or that is published later.",
            _none(_word, _word), lambda b, v: b.store(v[1], _at(b, v[0], _I64))),
)  # fmt: skip
poke_f64 = cast(
    Callable[[int, float], None],
    _define("poke_f64", "Write the float64 at an address.", _none(_word, types.float64),
            lambda b, v: b.store(v[1], _at(b, v[0], _F64))),
)  # fmt: skip
copy_bytes = cast(
    Callable[[int, int, int], None],
    _define("copy_bytes", "(target, source, count): copy bytes that do not overlap.",
            _none(_word, _word, _word), _copy),
)  # fmt: skip
fill_bytes = cast(
    Callable[[int, int, int], None],
    _define("fill_bytes", "(target, count, value): set bytes to a value.", _none(_word, _word, _word), _fill),
)  # fmt: skip


def _stack_words(_context: Any, count: Any) -> Any:
    """The address of a number of words (a literal) on the stack of the caller."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    words = ir.ArrayType(_I64, count.literal_value)

    def code(_context: Any, builder: Builder, _signature: Any, _arguments: Values) -> Any:
        return builder.ptrtoint(cgutils.alloca_once(builder, words), _I64)

    return types.int64(count), code


stack_words = cast(Callable[[int], int], intrinsic(_stack_words))
