"""Analogue signals as expressions: what `cw(1e3) + noise(0.1)` means.

Signals are added, subtracted, multiplied and scaled like numbers, and written as text in the same way. They are
functions of time that do not know how they are cut into blocks: each block begins with the exact phase.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["Basic", "Combination", "Scaled", "Signal", "Stretch", "constant", "finite"]

Floats = npt.NDArray[np.float64]
Shape = Callable[..., Floats]

_OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply}


@dataclass(frozen=True)
class Stretch:
    """Consecutive samples of a signal.

    Examples
    --------
    >>> Stretch(first=10**15 + 1, count=3, rate_hz=10.0).cycles(2.5).tolist()
    [0.25, 0.5, 0.75]
    """

    first: int
    """Number of the first sample; sample 0 is at time 0."""
    count: int
    """How many."""
    rate_hz: float
    """Samples per second."""

    def cycles(self, frequency_hz: float) -> Floats:
        """Phase at each sample in cycles; the whole cycles before the first sample are left out.

        What is left is exact after any time, because it is found with fractions.
        """
        begin = Fraction(frequency_hz) * self.first / Fraction(self.rate_hz)
        return np.asarray(float(begin % 1) + frequency_hz / self.rate_hz * np.arange(self.count))


class Signal(ABC):
    """A function of time; the base of all signals.

    Examples
    --------
    >>> from labdaq.sim import cw, dc, noise
    >>> 2 * (cw(1e3) + dc(0.5)) - noise(0.1)
    2 * (cw(1000, 1, 0) + dc(0.5)) - noise(0.1)
    >>> cw(1).sample(4, sample_rate_hz=4).round(6).tolist()
    [0.0, 1.0, 0.0, -1.0]
    """

    __array_ufunc__ = None  # NumPy numbers leave the operators to us

    @abstractmethod
    def values(self, on: Stretch, rng: np.random.Generator) -> Floats:
        """Value at each sample; noise is drawn from `rng`."""

    def sample(self, count: int, sample_rate_hz: float, *, first: int = 0, seed: int = 0) -> Floats:
        """Some samples, to look at; ``first`` is the number of the first one.

        Raises
        ------
        LayoutError
            If the number of samples or their rate is not positive.
        """
        if not count >= 0 or not 0 < sample_rate_hz < np.inf:
            raise LayoutError(f"there are 0 or more samples at a positive rate; given: {count}, {sample_rate_hz} Hz")
        return self.values(Stretch(first, count, sample_rate_hz), np.random.default_rng(seed))

    def __add__(self, other: Signal | float) -> Signal:
        return _combined("+", self, other)

    def __radd__(self, other: float) -> Signal:
        return _combined("+", other, self)

    def __sub__(self, other: Signal | float) -> Signal:
        return _combined("-", self, other)

    def __rsub__(self, other: float) -> Signal:
        return _combined("-", other, self)

    def __mul__(self, other: Signal | float) -> Signal:
        return _combined("*", self, other)

    def __rmul__(self, other: float) -> Signal:
        return _combined("*", other, self)

    def __truediv__(self, other: object) -> Signal:
        if isinstance(other, Signal) or other == 0:
            raise LayoutError(f"({self}) / ({other}): signals are divided by numbers that are not 0")
        return Scaled(1 / finite(other), self)

    def __rtruediv__(self, other: object) -> Signal:
        raise LayoutError(f"({other}) / ({self}): signals are divided by numbers, and divide nothing")

    def __neg__(self) -> Signal:
        return Scaled(-1.0, self)

    def __pos__(self) -> Signal:
        return self


@dataclass(frozen=True, repr=False)
class Basic(Signal):
    """A signal that is no combination of others; made by the functions of :mod:`labdaq.sim.signal_kinds`."""

    name: str
    shape: Shape
    arguments: tuple[float, ...]

    def values(self, on: Stretch, rng: np.random.Generator) -> Floats:
        """Value at each sample."""
        return self.shape(on, rng, *self.arguments)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(_text, self.arguments))})"


@dataclass(frozen=True, repr=False)
class Scaled(Signal):
    """A signal times a number."""

    factor: float
    signal: Signal

    def values(self, on: Stretch, rng: np.random.Generator) -> Floats:
        """Value at each sample."""
        return self.factor * self.signal.values(on, rng)

    def __repr__(self) -> str:
        return f"{_text(self.factor)} * {_in_parentheses(self.signal, not isinstance(self.signal, Basic))}"


@dataclass(frozen=True, repr=False)
class Combination(Signal):
    """Sum, difference or product of two signals."""

    operator: str
    left: Signal
    right: Signal

    def values(self, on: Stretch, rng: np.random.Generator) -> Floats:
        """Value at each sample."""
        left = self.left.values(on, rng)  # first, so that each finds its own noise
        return np.asarray(_OPERATIONS[self.operator](left, self.right.values(on, rng)))

    def __repr__(self) -> str:
        is_product = self.operator == "*"
        left = _in_parentheses(self.left, is_product and _is_sum(self.left))
        right = _in_parentheses(self.right, not isinstance(self.right, Basic) if is_product else _is_sum(self.right))
        return f"{left} {self.operator} {right}"


def finite(value: object) -> float:
    """A number that signals can calculate with.

    Raises
    ------
    LayoutError
        For what is no finite real number.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    if not np.isfinite(number) or isinstance(value, str):
        raise LayoutError(f"{value!r:.60} is no finite number")
    return number


def _combined(operator: str, left: object, right: object) -> Signal:
    if operator == "*" and not (isinstance(left, Signal) and isinstance(right, Signal)):
        factor, signal = (right, left) if isinstance(left, Signal) else (left, right)
        if isinstance(signal, Signal):
            return Scaled(finite(factor), signal)
    return Combination(operator, _as_signal(left), _as_signal(right))


def _as_signal(value: object) -> Signal:
    return value if isinstance(value, Signal) else Basic("dc", constant, (finite(value),))


def constant(on: Stretch, _: np.random.Generator, value: float) -> Floats:
    """The shape of a signal that does not change."""
    return np.full(on.count, value)


def _is_sum(signal: Signal) -> bool:
    return isinstance(signal, Combination) and signal.operator in {"+", "-"}


def _in_parentheses(signal: Signal, needed: bool) -> str:
    return f"({signal})" if needed else f"{signal}"


def _text(number: float) -> str:
    return repr(number).removesuffix(".0")
