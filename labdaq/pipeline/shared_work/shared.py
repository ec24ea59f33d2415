"""The work of a filter that may be done on other machines, too."""

import inspect
from collections.abc import Callable
from typing import Any

from labdaq.errors import LayoutError
from labdaq.pipeline.workers.calls import name_of
from labdaq.roles import parameters_of
from labdaq.store.redis.work import checked_name

__all__ = ["SharedWork", "shared"]


def shared(function: Callable[..., Any], url: str, name: str | None = None) -> "SharedWork":
    """A filter whose work members on other machines share: ``daq.filter(shared(find, "redis://host"), raw, found)``.

    While a run is on, ``labdaq work redis://host suite.yaml --worker find``, or
    :class:`labdaq.pipeline.SharedMember`, joins it from anywhere. As long as nobody does, the work is done here. Of the
    node's ``workers`` one hands the work out, the others do it here. Members do not keep the order of events.

    Parameters
    ----------
    function
        In either form of filters. Members have it themselves: no code goes over the net.
    url
        Of the Redis server. Who can reach it can do the work, and see the data: give it a password.
    name
        By which members know the work; the name of the function by default.

    Raises
    ------
    LayoutError
        It is no function, or the name cannot be one.

    Examples
    --------
    >>> def find(event):
    ...     return event.data.max() > 30
    >>> shared(find, "redis://localhost:6379")
    <work 'find', shared at redis://localhost:6379>
    """
    return SharedWork(function, url, name)


class SharedWork:
    """What `shared` returns: calls the function, and says where its work is shared."""

    def __init__(self, function: Callable[..., Any], url: str, name: str | None = None) -> None:
        if not callable(function):
            raise LayoutError(f"{function!r:.60} is no filter: it must be a function of an event, or f(data, out)")
        self.func = self.__wrapped__ = function
        self.url = url
        self.__name__ = name_of(function)
        self.name = checked_name(self.__name__ if name is None else name)
        for parameter, one in parameters_of(function).items():
            self.__dict__.setdefault(parameter, one)
        try:
            self.__signature__ = inspect.signature(getattr(function, "py_func", function))
        except (TypeError, ValueError):  # of a function that does not tell, it is taken to want an event
            self.__signature__ = inspect.signature(lambda event: event)

    def __call__(self, *arguments: Any) -> Any:
        """Do the work here."""
        return self.func(*arguments)

    def __repr__(self) -> str:
        from labdaq.store.redis.link import hidden

        return f"<work {self.name!r}, shared at {hidden(self.url)}>"
