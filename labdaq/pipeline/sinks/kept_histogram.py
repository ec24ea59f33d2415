"""Histograms that were kept: with all that was counted outside of their range, saved, read, and added up."""

import importlib
import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, MissingExtraError
from labdaq.files import read_npz, write_npz
from labdaq.files.table import PathLike, reading

__all__ = ["KeptHistogram", "empty_histogram", "merge", "needed", "read_histogram"]

Values = npt.NDArray[np.float64]
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError)


def needed(package: str) -> Any:
    """Import a package that comes with the extra ``analysis``.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.replace("_", "-")
        raise MissingExtraError(f"this needs {name}: pip install 'labdaq[analysis]'") from error


@dataclass(frozen=True)
class KeptHistogram:
    """A histogram of one moment, in one or two dimensions.

    Examples
    --------
    >>> counts = np.array([0.0, 4.0, 9.0, 1.0])
    >>> heights = KeptHistogram((np.array([0.0, 0.5, 1.0]),), counts, counts, ("height",), ("V",))
    >>> heights.values(), heights.errors(), heights.total
    (array([4., 9.]), array([2., 3.]), 14.0)
    >>> heights + heights
    <histogram of height 2 bins from 0 to 1 V: 28 in all>
    """

    edges: tuple[Values, ...]
    """Of the bins, for each axis."""
    counts: Values
    """Sum of the weights in each bin; on each axis, the first one is below and the last one above the range."""
    variances: Values
    """Sum of the squares of the weights in each bin, of the same shape."""
    axes: tuple[str, ...]
    """Names of the axes."""
    units: tuple[str, ...]
    """Of the axes; empty where there is none."""
    nan: int = 0
    """Values that are no number: they are in no bin."""
    is_log: bool = False
    """Whether the bins widen by a factor."""

    def values(self, *, flow: bool = False) -> Values:
        """Sum of the weights in each bin; with those below and above the range if ``flow``."""
        return self.counts if flow else self.counts[_inner(self.counts)]

    def errors(self, *, flow: bool = False) -> Values:
        """Standard deviation of each value, which of a count n is sqrt(n)."""
        return np.sqrt(self.variances if flow else self.variances[_inner(self.variances)])

    @property
    def total(self) -> float:
        """Sum of all weights, in the range or not."""
        return float(self.counts.sum())

    def __add__(self, other: "KeptHistogram") -> "KeptHistogram":
        """Both together.

        Raises
        ------
        LayoutError
            They differ in their axes.
        """
        same = len(self.edges) == len(other.edges) and all(map(np.array_equal, self.edges, other.edges))
        if not same or (self.axes, self.units) != (other.axes, other.units):
            raise LayoutError(f"these histograms do not fit together: {self!r} and {other!r}")
        counts, variances = self.counts + other.counts, self.variances + other.variances
        return replace(self, counts=counts, variances=variances, nan=self.nan + other.nan)

    def save(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write it to a file for NumPy, which :func:`read_histogram` reads.

        Raises
        ------
        ResourceError
            The file exists, or the system refuses it.
        """
        arrays = {f"edges_{number}": edges for number, edges in enumerate(self.edges)}
        arrays |= {"counts": self.counts, "variances": self.variances}
        about = {"axes": list(self.axes), "units": list(self.units), "nan": self.nan, "is_log": self.is_log}
        write_npz(path, arrays, {"histogram": about}, overwrite=overwrite)

    def to_boost(self) -> Any:
        """As a histogram of boost-histogram, which ``hist.Hist`` takes as well; metadata of its axes is their name.

        Raises
        ------
        MissingExtraError
            boost-histogram is not installed.
        """
        boost = needed("boost_histogram")
        filled = empty_histogram(boost, self.edges, self.is_log, self.axes)
        view = filled.view(flow=True)
        view["value"], view["variance"] = self.counts, self.variances
        return filled

    def to_hist(self) -> Any:
        """As a histogram of the package hist, to be plotted and fitted.

        Raises
        ------
        MissingExtraError
            hist is not installed.
        """
        hist = needed("hist")
        filled = hist.Hist(self.to_boost())
        for axis, name, unit in zip(filled.axes, self.axes, self.units, strict=True):
            axis.label = f"{name} [{unit}]" if unit else name
        return filled

    def __repr__(self) -> str:
        axes = (
            f"{name} {len(edges) - 1} bins from {edges[0]:g} to {edges[-1]:g} {unit}".rstrip()
            for name, unit, edges in zip(self.axes, self.units, self.edges, strict=True)
        )
        return f"<histogram of {', '.join(axes)}: {self.total:g} in all>"


def _inner(counts: Values) -> tuple[slice, ...]:
    return (slice(1, -1),) * counts.ndim


def read_histogram(path: PathLike) -> KeptHistogram:
    """Read a histogram that a run kept.

    Raises
    ------
    ResourceError
        The file cannot be read.
    DataError
        It holds no histogram, or is damaged.
    """
    found = read_npz(path)
    with reading(Path(path), "a histogram", *_MALFORMED):
        about, arrays = found.metadata["histogram"], found.arrays
        edges = tuple(arrays[f"edges_{number}"] for number in range(len(about["axes"])))
        kept = KeptHistogram(
            edges,
            arrays["counts"],
            arrays["variances"],
            tuple(map(str, about["axes"])),
            tuple(map(str, about["units"])),
            int(about["nan"]),
            bool(about["is_log"]),
        )
        shape = tuple(len(one) + 1 for one in edges)
        if not kept.counts.shape == kept.variances.shape == shape or len(kept.units) != len(edges):
            raise DataError(f"{path} is no histogram: {kept.counts.shape} counts for bins of {shape}")
    return kept


def merge(histograms: Iterable[KeptHistogram]) -> KeptHistogram:
    """Several together, such as those of several runs.

    Raises
    ------
    LayoutError
        They differ in their axes, or there are none.
    """
    listed = list(histograms)
    if not listed:
        raise LayoutError("there is no histogram to be merged")
    return reduce(operator.add, listed)


def empty_histogram(boost: Any, edges: Iterable[Values], is_log: bool, names: Iterable[str]) -> Any:
    """One of boost-histogram with these bins, which keeps sums of weights and of their squares."""
    axes = [_axis(boost.axis, one, is_log, name) for one, name in zip(edges, names, strict=True)]
    return boost.Histogram(*axes, storage=boost.storage.Weight())


def _axis(axis: Any, edges: Values, is_log: bool, name: str) -> Any:
    """Bins of one width are found quicker than others."""
    n, start, stop = len(edges) - 1, float(edges[0]), float(edges[-1])
    if is_log and np.array_equal(edges, np.geomspace(start, stop, n + 1)):
        return axis.Regular(n, start, stop, transform=axis.transform.log, metadata=name)
    if np.array_equal(edges, np.linspace(start, stop, n + 1)):
        return axis.Regular(n, start, stop, metadata=name)
    return axis.Variable(edges, metadata=name)
