"""What a suite may hold: labdaq's own schema, as models that check it and give the JSON schema of it.

The texts below the fields become the descriptions in the JSON schema, which editors show.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    PrivateAttr,
    StringConstraints,
    Tag,
)

from labdaq.pipeline.suite.tree import Node
from labdaq.ring.layout import checked_dtype

__all__ = [
    "ROLES",
    "DrainPart",
    "FilterPart",
    "LimitsPart",
    "RingPart",
    "SinkPart",
    "SourcePart",
    "Suite",
    "TaskPart",
    "WorkerPart",
    "json_schema",
    "part_at",
]

_LONGEST_DTYPE = 100

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w -]*$")]
Count = Annotated[int, Field(ge=1, le=1 << 53)]
Seconds = Annotated[float, Field(gt=0)]


def _dtype(given: Any) -> str | dict[str, str]:
    fields = given if isinstance(given, dict) else {"": given}
    if not fields or any(not isinstance(kind, str) or len(kind) > _LONGEST_DTYPE for kind in fields.values()):
        raise ValueError(
            f"expected the name of a dtype of NumPy, or a mapping of fields to dtypes; it is {given!r:.60}"
        )
    try:
        checked_dtype(given if isinstance(given, str) else [*fields.items()])
    except (TypeError, ValueError, SyntaxError, OverflowError) as error:
        raise ValueError(f"expected a dtype of NumPy such as float32; it is {given!r:.60}: {error}") from error
    return given  # type: ignore[no-any-return]


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


DType = Annotated[str | dict[str, str], PlainValidator(_dtype, json_schema_input_type=str | dict[str, str])]
PlainDType = Annotated[str, AfterValidator(_dtype)]
Rings = Annotated[
    tuple[Name, ...],
    BeforeValidator(_listed, json_schema_input_type=Name | list[Name]),
    Field(strict=False),
]
Shape = Annotated[tuple[Count, ...], Field(strict=False)]
Settings = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class RingPart(_Part):
    """A ring of events."""

    dtype: DType | None = None
    """Of one event: a dtype of NumPy, or fields with theirs. Without: that of the source that writes it."""
    shape: Shape | None = None
    """Of one event. Without: that of the source, or a single record."""
    capacity: Count = 128
    """Events that it holds."""
    planes: dict[str, PlainDType] = {}
    """Side arrays with a value for each event: their names and dtypes."""
    header: Settings = {}
    """What is known of the data: unit, channels, sample_interval_ns."""

    def numpy_dtype(self) -> np.dtype[Any] | None:
        """The dtype, if it is given."""
        return (
            None
            if self.dtype is None
            else np.dtype(self.dtype if isinstance(self.dtype, str) else [*self.dtype.items()])
        )


class _Worker(_Part):
    max_errors: Count = 10
    """After so many errors it is given up."""
    settings: Settings = {}
    """Arguments of the class, or of the function, by name."""


class SourcePart(_Worker):
    """Where events come from."""

    source: str
    """module.Class, module.function, or module.function() for what the function returns."""
    writes: Name
    """The ring that gets the events."""
    run_in: Literal["threads", "processes"] = "threads"
    """Where it runs."""
    when_paused: Literal["hold", "discard"] | None = None
    """hold: it is not asked during a pause; discard: it goes on, and its events are counted."""
    when_full: Literal["discard", "wait"] = "discard"
    """Of a source that pushes, when there is no room."""


class FilterPart(_Worker):
    """Looks at each event of a ring, and writes others."""

    filter: str
    """module.function, module.Class, or module.function() for what the function returns."""
    reads: Name
    """The ring that it reads."""
    writes: Annotated[Rings, Field(min_length=1)]
    """Rings that it writes."""
    workers: Count = 1
    """So many share the work."""
    run_in: Literal["threads", "processes", "compiled"] = "threads"
    """Where it runs. compiled: Python is not entered."""
    most: Count = 1
    """Of f(data, out): the most records of one event."""
    max_restarts: Annotated[int, Field(ge=0)] = 5
    """So often each worker that was killed is replaced."""
    shared: str | None = None
    """URL of a Redis server: labdaq work joins from other machines, and does a share of the work."""


class SinkPart(_Worker):
    """Keeps the events of a ring."""

    sink: str
    """The name of a file (pulses.csv), store, or as for filters."""
    reads: Name
    """The ring that it reads."""
    workers: Count = 1
    """So many share the work, of a function."""
    order: Literal["any", "counter"] = "any"
    """counter: events come in the order of their counters."""
    run_in: Literal["threads", "processes"] = "threads"
    """Where it runs."""


class TaskPart(_Part):
    """A function that reads and writes rings by itself."""

    task: str
    """module.function; its context has the settings."""
    reads: Rings = ()
    """Rings that it reads."""
    writes: Rings = ()
    """Rings that it writes."""
    observes: Rings = ()
    """Rings that it looks at, holding nobody back."""
    workers: Count = 1
    """So many share the work."""
    run_in: Literal["threads", "processes"] = "threads"
    """Where it runs."""
    settings: Settings = {}
    """What the function finds as context.settings."""


class DrainPart(_Part):
    """Reads a ring, keeps nothing, and counts."""

    drain: Name
    """The ring."""


class LimitsPart(_Part):
    """When a run ends."""

    events: Count | None = None
    """After so many events."""
    seconds: Seconds | None = None
    """After so many seconds of taking data."""
    drain_timeout_s: Seconds = 10.0
    """How long the end may take, in seconds."""
    min_free_nbytes: Annotated[int, Field(ge=0)] = 100 << 20
    """It ends cleanly when less is free on the disk, in bytes."""


ROLES: dict[str, type[BaseModel]] = {
    "source": SourcePart,
    "filter": FilterPart,
    "sink": SinkPart,
    "task": TaskPart,
    "drain": DrainPart,
}
"""The kinds of workers, by the key that tells them apart."""


def _role(given: Any) -> str | None:
    """The kind of a worker; None when it is none of them, or several."""
    roles = [role for role in ROLES if role in given] if isinstance(given, dict) else []
    return roles[0] if len(roles) == 1 else None


WorkerPart = Annotated[
    Annotated[SourcePart, Tag("source")]
    | Annotated[FilterPart, Tag("filter")]
    | Annotated[SinkPart, Tag("sink")]
    | Annotated[TaskPart, Tag("task")]
    | Annotated[DrainPart, Tag("drain")],
    Discriminator(
        _role,
        custom_error_type="role",
        custom_error_message=f"expected exactly one of the keys {', '.join(ROLES)}",
    ),
]


class Suite(_Part):
    """A pipeline and its runs, as a file describes them."""

    name: Annotated[str, StringConstraints(pattern=r"^\w[\w .-]*$")]
    """Of the experiment. Its runs are numbered under this name."""
    base: str | None = None
    """Another file, which holds for everything that this one does not say."""
    store: str | None = "runs"
    """Where runs are kept: a folder beside the file, or the URL of a store; null keeps nothing."""
    modules: str | None = None
    """A folder with Python modules, beside the file."""
    rings: Annotated[dict[Name, RingPart], Field(min_length=1)]
    """Rings by name."""
    workers: Annotated[dict[Name, WorkerPart], Field(min_length=1)]
    """Sources, filters, sinks and others by name."""
    limits: LimitsPart = LimitsPart()
    """When a run ends by itself."""
    parameters: dict[str, str | int | float | bool] = {}
    """Values of parameters to begin with, by worker.name."""

    _tree: Node = PrivateAttr()

    @property
    def tree(self) -> Node:
        """The content with files and lines, for messages."""
        return self._tree

    @property
    def path(self) -> Path:
        """The file."""
        return self._tree.file

    def place_of(self, key: str) -> Path:
        """The folder that a key names, starting from the file in which the key is."""
        return self._tree.nearest_to([key]).file.parent / str(getattr(self, key))

    def store_place(self) -> str | None:
        """Where runs are kept: a URL, an absolute folder, or None."""
        if self.store is None or "://" in self.store:
            return self.store
        return str(self.place_of("store").absolute())


def part_at(path: Sequence[str | int], tree: Node) -> Iterable[str]:
    """All keys that are known at a place."""
    if not path:
        return Suite.model_fields
    if path[0] == "workers" and len(path) == 2:
        role = _role(tree.nearest_to(path).value)
        return ROLES if role is None else ROLES[role].model_fields
    if path[0] == "rings" and len(path) == 2:
        return RingPart.model_fields
    return LimitsPart.model_fields if path[0] == "limits" else ()


def json_schema() -> dict[str, Any]:
    """The JSON schema of suites, for editors and other programs.

    Examples
    --------
    >>> json_schema()["required"]
    ['name', 'rings', 'workers']
    """
    schema = Suite.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "labdaq suite"}
