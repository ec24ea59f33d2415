"""Signals from text, as in configurations and on command lines. Nothing is executed but the arithmetic of signals."""

import ast
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

from labdaq.errors import LabdaqError, LayoutError, NotFoundError
from labdaq.sim.signal_kinds import SIGNAL_KINDS
from labdaq.sim.signals import Signal, finite

__all__ = ["parse_signal"]

_LONGEST = 2000  # characters

_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

Value = Signal | float


def parse_signal(text: str | Signal) -> Signal:
    """The signal that a text describes: calls of signals, numbers, ``pi``, ``+ - * /`` and parentheses.

    Parameters
    ----------
    text
        As in Python. ``repr`` of a signal is such a text; a signal itself is given back.

    Raises
    ------
    NotFoundError
        For a name that is not known; the message says which there are.
    LayoutError
        For anything else that is no signal, or has arguments that do not fit.

    Examples
    --------
    >>> parse_signal("cw(1e3) + noise(0.1)")
    cw(1000, 1, 0) + noise(0.1)
    >>> parse_signal("cos(1e3)")
    Traceback (most recent call last):
    labdaq.errors.NotFoundError: 'cos' is no signal; there are chirp, cw, dc, noise, pulse, sawtooth, square
    >>> parse_signal("cw(1000).real")
    Traceback (most recent call last):
    labdaq.errors.LayoutError: 'cw(1000).real': a signal has calls, numbers, pi, + - * / and parentheses only
    """
    if isinstance(text, Signal):
        return text
    if len(text) > _LONGEST:
        raise LayoutError(f"the text of a signal has at most {_LONGEST} characters; given: {text!r:.60}")
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError, ArithmeticError) as error:
        if isinstance(error, LabdaqError):
            raise
        raise LayoutError(f"{text!r:.60} is no signal: {error}") from error
    if not isinstance(value, Signal):
        raise LayoutError(f"{text!r:.60} is a number, not a signal; a constant signal is dc({value:g})")
    return value


def _value(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return finite(number)
        case ast.Name(id="pi"):
            return math.pi
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _calculated(operation, _value(left), _value(right))
        case ast.UnaryOp(op=operation, operand=operand) if type(operation) in _OPERATIONS:
            return _calculated(operation, _value(operand))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return _call(name, args, keywords)
    raise LayoutError(f"{ast.unparse(node)!r:.60}: a signal has calls, numbers, pi, + - * / and parentheses only")


def _calculated(operation: ast.AST, *operands: Value) -> Value:
    result: Value = _OPERATIONS[type(operation)](*operands)
    return result if isinstance(result, Signal) else finite(result)


def _call(name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Signal:
    if name not in SIGNAL_KINDS:
        raise NotFoundError(f"{name!r} is no signal; there are {', '.join(SIGNAL_KINDS)}")
    kind: Callable[..., Signal] = SIGNAL_KINDS[name]
    signature = inspect.signature(kind)
    try:
        bound = signature.bind(*map(_value, args), **{str(word.arg): _value(word.value) for word in keywords})
    except TypeError as error:
        raise LayoutError(f"{name}{tuple(signature.parameters)}: {error}".replace("'", "")) from error
    return kind(*bound.args, **bound.kwargs)
