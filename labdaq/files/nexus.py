"""Growing datasets in a tree with the structure of NeXus: what the HDF5 and the Zarr file have in common.

::

    /                         NXroot, its default is the first entry
      scan_1                  NXentry with title, start_time and end_time; its default is the first plot
        measurement           NXcollection of the datasets
          energy              [units = keV], one point after the other along the first axis
          spikes              ragged points: ``values`` in a row, ``offsets`` where each one begins and ends
        plot                  NXdata with signal and axes, made of datasets of the collection

The file stands beside its final name until it is closed.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, LabdaqError, LayoutError, NotFoundError, ResourceError
from labdaq.files.columns import Column, RaggedColumn, Time, batch_of, check_name, plain, text_of_time
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import PathLike, check_free

__all__ = ["NexusFile"]


class NexusFile(ABC):
    """Write named datasets that grow; see :class:`~labdaq.files.hdf5.Hdf5File`."""

    def __init__(self, path: PathLike, *, overwrite: bool = False, compression: int = 0) -> None:
        if compression not in range(10):
            raise LayoutError(f"the level of compression is a number from 0 (none) to 9, not {compression}")
        self.path = Path(path)
        self.overwrite, self.compression = overwrite, compression
        self._columns: dict[str, Column | RaggedColumn] = {}
        self._entry: Any = None
        self._ends_now = False
        self._is_closed = False
        self._root: Any = None
        check_free(self.path, overwrite=overwrite)
        discard(self.path)
        with self._writing("opening the file"):
            self._root = self._open(part_of(self.path))
            self._root.attrs.update({"NX_class": "NXroot", "creator": "labdaq", "file_time": text_of_time(None)})

    @abstractmethod
    def _open(self, part: Path) -> Any:
        """Make the file and return its outermost group."""

    @abstractmethod
    def _shut(self) -> None:
        """Complete the file and let go of it."""

    @abstractmethod
    def _array(self, group: Any, name: str, dtype: np.dtype[Any] | None, point: tuple[int, ...], chunk: int) -> Any:
        """Make an empty dataset of points of this shape; without a dtype they are texts."""

    @abstractmethod
    def _text(self, group: Any, name: str, text: str) -> None:
        """Note a text in a group."""

    @abstractmethod
    def _link(self, group: Any, name: str, target: Any) -> None:
        """Make a dataset known in a second group."""

    def _refused(self) -> OSError | None:
        """What the system refused unnoticed, if anything."""
        return None

    def entry(
        self,
        name: str,
        *,
        title: str | None = None,
        start_time: Time = None,
        end_time: Time = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin an entry, such as a scan; what follows belongs to it.

        Parameters
        ----------
        name : str
            A name that no other entry of the file has.
        title : str, optional
            By default the name.
        start_time, end_time : str (ISO 8601) or datetime, optional
            Without a start, the entry starts now and ends when the next one begins or the file is closed.
        attributes : mapping, optional
            What else to tell about the entry: texts, numbers and lists of them; all else is kept as JSON.

        Raises
        ------
        LayoutError
            If the name is taken, or the attributes have no JSON.
        """
        about = plain(attributes or {})
        check_name(name)
        with self._writing("looking for an entry"):
            if name in self._root:
                raise LayoutError(f"{self.path} has an entry {name!r} already")
        self._leave()
        with self._writing("making an entry"):
            self._entry = self._root.create_group(name)
            self._entry.attrs.update(about | {"NX_class": "NXentry"})
            self._entry.create_group("measurement").attrs.update({"NX_class": "NXcollection"})
            self._text(self._entry, "title", name if title is None else title)
            self._text(self._entry, "start_time", text_of_time(start_time))
            if end_time is not None:
                self._text(self._entry, "end_time", text_of_time(end_time))
            self._ends_now = start_time is None and end_time is None
            if "default" not in self._root.attrs:
                self._root.attrs.update({"default": name})

    def dataset(
        self,
        name: str,
        data: Any,
        *,
        units: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        ragged: bool = False,
    ) -> None:
        """Make a dataset of the entry; without an entry, one is begun under the name ``entry``.

        Parameters
        ----------
        name : str
            A name that no other dataset of the entry has.
        data : array-like
            The first points along the first axis, which may be none: numbers of any shape and dtype, or texts.
        units : str, optional
            Unit of the points, as NeXus writes it.
        attributes : mapping, optional
            What else to tell about the dataset.
        ragged : bool
            The points are arrays that differ in length: `data` is a sequence of them, at least one.

        Raises
        ------
        LayoutError
            If the name is taken, or the data are no numbers or texts.
        """
        check_name(name)
        about = plain(dict(attributes or {}) | ({} if units is None else {"units": units}))
        batch = batch_of(data[0] if ragged and len(data) else data)
        if ragged and not len(data):
            raise LayoutError(f"{name!r} needs a first point, which may be empty: its dtype is that of all")
        if self._entry is None:
            self.entry("entry")
        with self._writing(f"making {name!r}"):
            place = self._entry["measurement"]
            if name in place:
                raise LayoutError(f"{self.path} has a dataset {name!r} already; append() adds to it")
            if ragged:
                place = place.create_group(name)
                place.attrs.update(about | {"NX_class": "NXcollection", "ragged": True})
                values = self._column(place, "values", batch)
                self._columns[name] = RaggedColumn(values, self._column(place, "offsets", np.zeros(1, np.int64)))
            else:
                self._columns[name] = self._column(place, name, batch)
                self._columns[name].array.attrs.update(about)
        self.append(name, data)

    def _column(self, group: Any, name: str, first: npt.NDArray[Any]) -> Column:
        point = first.shape[1:]
        dtype = None if first.dtype.hasobject else first.dtype
        itemsize = first.dtype.itemsize * int(np.prod(point, dtype=object))
        chunk = max(1, min(max(1024, len(first)), 2**20 // max(1, itemsize)))
        return Column(self._array(group, name, dtype, point, chunk), dtype, point, chunk)

    def append(self, name: str, data: Any) -> None:
        """Add points to a dataset of the entry; they are copied.

        Parameters
        ----------
        name : str
            The dataset.
        data : array-like
            Points of the same shape, of a dtype that fits; of ragged points, a sequence of arrays.

        Raises
        ------
        NotFoundError
            If the entry has no such dataset.
        LayoutError
            If the points do not fit.
        """
        with self._writing(f"writing to {name!r}"):
            self._named(name).append(data)

    def plot(self, signal: str, axes: Sequence[str] = (), *, name: str = "plot") -> None:
        """Let programs that know NeXus show a dataset of the entry; the first plot is what they show first.

        Parameters
        ----------
        signal : str
            The dataset to show.
        axes : sequence of str
            The datasets it is shown over: one for each of its dimensions, from the first one on; or, for
            points in a plane, several for the only one. The signal "." stands for no axis.
        name : str
            Name of the plot in the entry.

        Raises
        ------
        NotFoundError
            If the entry has no such dataset.
        LayoutError
            If a dataset is ragged, or the name is taken.
        """
        check_name(name)
        shown = {other: self._shown(other) for other in (signal, *axes) if other != "."}
        dimensions = 1 + len(shown[signal].point)
        padded = [*axes, *["."] * (dimensions - len(axes))]
        places = {f"{axis}_indices": i if i < dimensions > 1 else 0 for i, axis in enumerate(axes) if axis != "."}
        with self._writing(f"making the plot {name!r}"):
            if name in self._entry:
                raise LayoutError(f"the entry has a {name!r} already")
            group = self._entry.create_group(name)
            group.attrs.update({"NX_class": "NXdata", "signal": signal, "axes": padded, **places})
            for other, column in shown.items():
                self._link(group, other, column.array)
            if "default" not in self._entry.attrs:
                self._entry.attrs.update({"default": name})

    def _named(self, name: str) -> Column | RaggedColumn:
        if name not in self._columns:
            there = ", ".join(self._columns) or "none"
            raise NotFoundError(f"the entry has no dataset {name!r}; there are {there}")
        return self._columns[name]

    def _shown(self, name: str) -> Column:
        column = self._named(name)
        if isinstance(column, RaggedColumn) or column.dtype is None:
            raise LayoutError(f"dataset {name!r} is ragged or text and cannot be plotted")
        return column

    def _leave(self) -> None:
        with self._writing("completing an entry"):
            for column in self._columns.values():
                column.flush()
            self._columns.clear()
            if self._entry is not None and self._ends_now:
                self._text(self._entry, "end_time", text_of_time(None))
            self._entry = None

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        if self._is_closed:
            raise ClosedError(f"{self.path} was closed")
        refusal: OSError | None = None
        try:
            yield
            refusal = self._refused()
        except LabdaqError:
            raise
        except (ValueError, TypeError) as error:
            raise LayoutError(f"{doing} in {self.path}: {error}") from error
        except (OSError, RuntimeError) as error:
            refusal = self._refused() or (error if isinstance(error, OSError) else OSError(str(error)))
        if refusal is not None:
            self._give_up()
            raise ResourceError.of(refusal, doing, self.path) from refusal

    def _give_up(self) -> None:
        """Half of a file is of no use: take it away."""
        self._is_closed = True
        if self._root is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._shut()
        discard(self.path)

    def discard(self) -> None:
        """Take away what was written, instead of completing it; a file that was to be replaced stays as it is.

        Leaving a ``with`` completes the file even when an exception ends it, so that no points are lost. Who wants a
        whole file or none discards it first. After `close` there is nothing to discard, and nothing happens.
        """
        if not self._is_closed:
            self._give_up()

    def close(self) -> None:
        """Complete the file and give it its name. Closing twice is fine."""
        if self._is_closed:
            return
        self._leave()
        with self._writing("completing the file"):
            self._shut()
        self._is_closed = True
        put_in_place(self.path, overwrite=self.overwrite)

    def __enter__(self) -> "NexusFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
