"""Who a scan is: the few fields by which it is searched.

What else there is to say about a scan goes to its info.
"""

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from labdaq.errors import LayoutError

__all__ = ["Identity", "IdentityModel", "Query", "is_field"]

Identity = dict[str, str | int | float | None]

_REQUIRED = ("name", "number", "data_policy")
_OPTIONAL = ("session", "proposal", "collection", "dataset", "path")
_TAKEN = {  # by scans, and by what one searches for
    "close", "create_stream", "created", "created_ns", "export", "get_writer_stream", "identity", "info", "is_writable",
    "key", "limit", "order", "prepare", "record", "start", "state", "stop", "streams", "to_arrow", "to_pandas",
    "to_xarray", "update",
}  # fmt: skip
_LONGEST = 1024  # characters of a text: it is a label
_FOR_EVER_NS = 2.0**62  # the year 2116


@dataclass(frozen=True)
class Query:
    """What to search for: per field a text, the beginning of one, a number, or a range; `None` is no limit."""

    exact: Mapping[str, str | float] = field(default_factory=dict)
    prefix: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[str | float | None, str | float | None]] = field(default_factory=dict)
    """Both ends belong to it."""
    created_ns: tuple[int | None, int | None] = (None, None)
    newest_first: bool = False
    limit: int | None = None


class IdentityModel:
    """The identity fields of a store.

    Parameters
    ----------
    more
        Fields of your own: optional, texts or numbers.

    Examples
    --------
    >>> model = IdentityModel(["operator"])
    >>> model.checked({"name": "muon", "number": 1, "data_policy": "none", "operator": "Ada"})["operator"]
    'Ada'
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        own = [name for name in more if name not in _REQUIRED + _OPTIONAL]
        for name in own:
            if not is_field(name):
                raise LayoutError(f"{name!r} cannot be an identity field: it must be a Python name that is not taken")
        self.fields = (*_REQUIRED, *_OPTIONAL, *own)

    def checked(self, identity: Mapping[str, Any]) -> Identity:
        """An identity with every field, None where it was not given.

        Raises
        ------
        LayoutError
            A required field is missing, a field is unknown, or a value is neither a text nor a number.
        """
        given: Any = identity
        if not isinstance(given, Mapping):
            raise LayoutError(f"an identity is a mapping with {', '.join(_REQUIRED)}, not {type(given).__name__}")
        missing = [name for name in _REQUIRED if identity.get(name) is None]
        if missing:
            raise LayoutError(f"a scan needs {', '.join(_REQUIRED)}; missing: {', '.join(missing)}")
        self._check_names(identity)
        return {name: self._value(name, identity.get(name)) for name in self.fields}

    def query(
        self,
        terms: Mapping[str, Any],
        *,
        created: tuple[Any, Any] | None = None,
        order: str = "oldest",
        limit: int | None = None,
    ) -> Query:
        """Sort the arguments of a search by what they ask for.

        Raises
        ------
        LayoutError
            An unknown field (the message lists all), or a value that cannot be searched for.
        """
        self._check_names(terms)
        if order not in {"oldest", "newest"}:
            raise LayoutError(f"order is {order!r}; it is 'oldest' or 'newest', whichever comes first")
        asked: Any = limit
        if asked is not None and not (isinstance(asked, SupportsIndex) and operator.index(asked) >= 0):
            raise LayoutError(f"limit is {limit}; it is a number of scans, or None")
        exact: dict[str, str | float] = {}
        prefix: dict[str, str] = {}
        ranges: dict[str, tuple[Any, Any]] = {}
        for name, term in terms.items():
            if isinstance(term, tuple):
                ranges[name] = self._range(name, term)
            elif isinstance(term, str) and term.endswith("*"):
                prefix[name] = str(self._value(name, term))[:-1]
            elif (value := self._value(name, term)) is None:
                raise LayoutError(f"{name}=None cannot be searched for: leave the field out")
            else:
                exact[name] = value
        if created is not None and len(created) != 2:
            raise LayoutError(f"created={created!r} is no range: give (earliest, latest), None for no limit")
        begin, end = created or (None, None)
        times = (None if begin is None else _ns(begin), None if end is None else _ns(end))
        return Query(exact, prefix, ranges, times, newest_first=order == "newest", limit=limit)

    def _check_names(self, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - set(self.fields))
        if unknown:
            raise LayoutError(f"no identity field {', '.join(map(repr, unknown))}; there are: {', '.join(self.fields)}")

    def _value(self, name: str, value: Any) -> str | int | float | None:
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
            value = value.item()
        if name == "number" and (isinstance(value, bool) or not isinstance(value, int)):
            raise LayoutError(f"number is {value!r}; it is an integer")
        if name in _REQUIRED + _OPTIONAL and name != "number" and not (value is None or isinstance(value, str)):
            raise LayoutError(f"{name} is {value!r}; it is a text")
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise LayoutError(f"{name} is {value!r}; identity fields are texts and numbers")
        if isinstance(value, str) and (len(value) > _LONGEST or "\0" in value or not _is_unicode(value)):
            raise LayoutError(f"{name} is not a text of up to {_LONGEST} characters that can be written down")
        if isinstance(value, int | float) and not abs(value) <= 2**53:  # where every integer is a double, too
            raise LayoutError(f"{name} is {value}; numbers of an identity are finite and up to 2**53")
        return _plain(value)

    def _range(self, name: str, term: tuple[Any, ...]) -> tuple[Any, Any]:
        if len(term) != 2:
            raise LayoutError(f"{name}={term!r} is no range: give (lowest, highest), None for no limit")
        low, high = (None if end is None else self._value(name, end) for end in term)
        if low is not None and high is not None and isinstance(low, str) != isinstance(high, str):
            raise LayoutError(f"{name}={term!r} mixes a text and a number")
        return low, high


def _plain(value: Any) -> str | int | float | None:
    """The same without its class: members of an enumeration become texts and numbers."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    return None if value is None else float(value)


def is_field(name: str) -> bool:
    """Whether this can be the name of an identity field."""
    return name in _REQUIRED + _OPTIONAL or (name.isidentifier() and not name.startswith("_") and name not in _TAKEN)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ns(when: Any) -> int:
    """A time as ns since 1970: of a datetime with its zone, or a number of seconds."""
    seconds = when.timestamp() if hasattr(when, "timestamp") else when
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise LayoutError(f"{when!r} is no time: give a datetime, or seconds since 1970")
    return round(min(max(seconds * 1e9, -_FOR_EVER_NS), _FOR_EVER_NS))
