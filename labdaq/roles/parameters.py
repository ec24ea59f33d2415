"""Settings that may be changed while data are taken."""

import math
import operator
import threading
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from labdaq.errors import LayoutError

__all__ = ["Parameter", "parameters_of"]


class Parameter:
    """A number, choice or switch with a unit and limits.

    Use it like the value: ``event.data.max() > level.value``, or in arithmetic and comparisons directly.
    As an attribute of the class of a source or filter it behaves like one: reading gives the value of that
    instance, assigning checks and sets it.

    Parameters
    ----------
    value
        To begin with. Its type, number or bool or str, is the type of the parameter.
    unit
        Of the number.
    low, high
        The least and the greatest value that it may have.
    choices
        All values that it may have, instead of limits.
    label
        For people.

    Raises
    ------
    LayoutError
        A value outside of the limits, or of another type; nothing was changed.

    Examples
    --------
    >>> level = Parameter(30.0, unit="mV", low=0, high=500)
    >>> level > 20, level.value
    (True, 30.0)
    >>> level.set(600)
    Traceback (most recent call last):
    labdaq.errors.LayoutError: 600.0 mV is not possible: between 0 mV and 500 mV
    >>> class Find:
    ...     level = Parameter(30.0, unit="mV", low=0)
    ...     def __call__(self, event):
    ...         return event.data.max() > self.level
    >>> find = Find(); find.level = 40
    >>> find.level, Find().level
    (40.0, 30.0)
    """

    def __init__(
        self,
        value: float | str | bool,
        unit: str = "",
        low: float | None = None,
        high: float | None = None,
        *,
        choices: tuple[Any, ...] | list[Any] | None = None,
        label: str = "",
    ) -> None:
        self.unit, self.low, self.high = unit, low, high
        self.choices = tuple(choices) if choices is not None else None
        self.label = label
        self.name = ""
        self.default = value
        self._kind: type = type(value)
        self._value: Any = self.checked(value)
        self._mine = threading.local()
        self.on_change: Callable[[Any], None] | None = None
        """Called with a checked value instead of setting it: a running pipeline puts itself here."""

    @property
    def value(self) -> Any:
        """What it is now; in a worker, what it was when its event began."""
        return getattr(self._mine, "value", self._value)

    def set(self, value: Any) -> None:
        """Change it, now, or at the border of the next event while a pipeline runs."""
        wanted = self.checked(value)
        if self.on_change is not None:
            self.on_change(wanted)
        else:
            self._value = wanted
            self._mine = threading.local()

    def apply(self, value: Any) -> None:
        """Set it at once, as a worker does between two events: threads that work with it keep their own value."""
        self._value = self._mine.value = self.checked(value)

    def hold(self) -> None:
        """In this thread it stays as it is, until `apply` is called here."""
        self._mine.value = self._value

    def release(self) -> None:
        """In this thread it is again what it is everywhere."""
        self._mine = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        # Who waits for changes stays here: a run, which tells them to the process.
        return {**self.__dict__, "_mine": None, "on_change": None, "_value": self.value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._mine = threading.local()

    def checked(self, value: Any) -> Any:
        """The value in the type of the parameter.

        Raises
        ------
        LayoutError
            When it cannot have this value.
        """
        value = self._converted(value)
        if self.choices is not None and value not in self.choices:
            raise LayoutError(f"{value!r} is not possible: one of {', '.join(map(repr, self.choices))}")
        too_low = self.low is not None and value < self.low
        if too_low or (self.high is not None and value > self.high):
            raise LayoutError(f"{self._text(value)} is not possible: {self._limits()}")
        return value

    def _converted(self, value: Any) -> Any:
        if self._kind is bool or self._kind is str:
            if not isinstance(value, self._kind):
                raise LayoutError(f"{value!r} is not possible: this parameter is a {self._kind.__name__}")
            return value
        try:
            number = self._kind(value)
            is_good = not isinstance(value, bool | str) and math.isfinite(number) and number == value
        except (TypeError, ValueError, OverflowError):
            is_good = False
        if not is_good:
            raise LayoutError(f"{value!r} is not possible: this parameter is a finite {self._kind.__name__}")
        return number

    def _text(self, value: Any) -> str:
        return f"{value} {self.unit}".strip()

    def _limits(self) -> str:
        if self.low is None or self.high is None:
            return f"at least {self._text(self.low)}" if self.high is None else f"at most {self._text(self.high)}"
        return f"between {self._text(self.low)} and {self._text(self.high)}"

    def __repr__(self) -> str:
        return f"<parameter {self.name or self.label or '?'} = {self._text(self.value)}>"

    # ------------------------------------------------------------------- as an attribute of a class

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def of(self, instance: Any) -> "Parameter":
        """The parameter of one instance of the class that has this one as an attribute."""
        own = instance.__dict__.setdefault("_parameters", {})
        if self.name not in own:
            copy = Parameter(self.default, self.unit, self.low, self.high, choices=self.choices, label=self.label)
            copy.name = self.name
            own[self.name] = copy
        found: Parameter = own[self.name]
        return found

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self.of(instance).value

    def __set__(self, instance: Any, value: Any) -> None:
        self.of(instance).set(value)

    # ------------------------------------------------------------------------------- as its value

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return operator.index(self.value)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.value, digits)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    # NumPy leaves the arithmetic with arrays to the operators below.
    __array_ufunc__ = None

    def __eq__(self, other: object) -> Any:
        return self.value == _value(other)

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Any:
        return self.value < _value(other)

    def __le__(self, other: Any) -> Any:
        return self.value <= _value(other)

    def __gt__(self, other: Any) -> Any:
        return self.value > _value(other)

    def __ge__(self, other: Any) -> Any:
        return self.value >= _value(other)

    def __add__(self, other: Any) -> Any:
        return self.value + _value(other)

    def __sub__(self, other: Any) -> Any:
        return self.value - _value(other)

    def __mul__(self, other: Any) -> Any:
        return self.value * _value(other)

    def __truediv__(self, other: Any) -> Any:
        return self.value / _value(other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Any:
        return other - self.value

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.value

    def __pow__(self, other: Any) -> Any:
        return self.value ** _value(other)

    def __rpow__(self, other: Any) -> Any:
        return other**self.value

    def __mod__(self, other: Any) -> Any:
        return self.value % _value(other)

    def __rmod__(self, other: Any) -> Any:
        return other % self.value

    def __floordiv__(self, other: Any) -> Any:
        return self.value // _value(other)

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self.value

    def __divmod__(self, other: Any) -> Any:
        return divmod(self.value, _value(other))

    def __rdivmod__(self, other: Any) -> Any:
        return divmod(other, self.value)

    def __abs__(self) -> Any:
        return abs(self.value)

    def __neg__(self) -> Any:
        return -self.value


def _value(other: Any) -> Any:
    return other.value if isinstance(other, Parameter) else other


def parameters_of(worker: Any) -> dict[str, Parameter]:
    """The parameters of a source, filter or sink by name.

    They are attributes of its class or of itself, or, of a function, in its global names and closure, and in those
    of the functions which it names.

    Examples
    --------
    >>> level = Parameter(30.0, unit="mV")
    >>> def find(event):
    ...     return event.data.max() > level
    >>> parameters_of(find)
    {'level': <parameter level = 30.0 mV>}
    """
    found: dict[str, Parameter] = {}
    for kind in reversed(type(worker).__mro__):
        declared = {name: one for name, one in vars(kind).items() if isinstance(one, Parameter)}
        found |= {name: one.of(worker) for name, one in declared.items()}
    found |= {name: one for name, one in getattr(worker, "__dict__", {}).items() if isinstance(one, Parameter)}
    found |= _named_in(worker, set())
    for name, one in found.items():
        one.name = one.name or name
    return found


def _named_in(function: Any, seen: set[int]) -> dict[str, Parameter]:
    """Parameters among the global names and in the closure of a function, and of the functions that it names."""
    function = getattr(function, "func", function)  # of a partial
    function = getattr(function, "__func__", function)  # of a method
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    if code is None or id(function) in seen:
        return {}
    seen.add(id(function))
    names = {name: function.__globals__.get(name) for name in code.co_names}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    found = {name: one for name, one in names.items() if isinstance(one, Parameter)}
    for one in names.values():
        if isinstance(one, FunctionType | MethodType | partial):
            found = {**_named_in(one, seen), **found}
    return found
