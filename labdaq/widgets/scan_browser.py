"""Scans that were kept: found, chosen, drawn, and laid over each other."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, NotFoundError
from labdaq.store import DataStore, Scan
from labdaq.widgets.envelope import envelope, envelope_times
from labdaq.widgets.extras import needed
from labdaq.widgets.plot import LivePlot, exactly, room_around
from labdaq.widgets.scan_browser_controls import BrowserControls
from labdaq.widgets.scan_columns import ScanColumns
from labdaq.widgets.scan_search import differences, find_scans, label_of_scan
from labdaq.widgets.style import add_legend, axis_label, colour, new_figure

__all__ = ["INDEX", "KINDS", "ScanBrowser"]

INDEX = "number of the point"
KINDS = ("line", "points", "histogram")
_POINTS = 4000
_BINS = 80
_MOST_DRAWN = 8
"""As many as there are colours."""
Floats = npt.NDArray[np.float64]


class ScanBrowser(LivePlot):
    """Search the scans of a store, choose some, draw their columns; :func:`labdaq.browse` makes one.

    All that the widgets do is a method, too. Scans that are being taken grow while they are shown.

    Parameters
    ----------
    store
        A :class:`labdaq.DataStore`, or its folder or URL: also that of the runs of a pipeline.
    text
        What to search for first; see `search`.
    most
        At most so many scans are listed, the newest.

    Attributes
    ----------
    found : list of Scan
        Those that are listed, the newest first.
    chosen : list of Scan
        Those that are drawn.
    x, y, kind : str
        What is drawn: columns, and line, points or histogram.

    Raises
    ------
    NotFoundError
        There is no store in this folder.

    Examples
    --------
    >>> from labdaq.store import NumericStreamEncoder
    >>> store = DataStore("memory://")
    >>> for number in (1, 2):
    ...     who = {"name": "plateau", "number": number, "data_policy": "none"}
    ...     scan = store.create_scan(who, {"high_V": 400 * number})
    ...     scan.create_stream("rate", NumericStreamEncoder(float)).send([1.0, 2.0, 4.0])
    ...     scan.prepare(); scan.start(); scan.stop(); scan.close()
    >>> with ScanBrowser(store) as browser:
    ...     browser.choose(1, 2).plot("rate")
    ...     print(browser.status, browser.compare()["high_V"])
    plateau 1: 3 points; plateau 2: 3 points ['400', '800']
    >>> store.close()
    """

    looks_always = False

    def __init__(self, store: DataStore | str | os.PathLike[str], text: str = "", *, most: int = 200) -> None:
        if most < 1:
            raise LayoutError(f"most={most!r}: a whole number, 1 or more")
        self._is_mine = not isinstance(store, DataStore)
        self.store = store if isinstance(store, DataStore) else DataStore(store, must_exist=True)
        self.text, self._most = text, most
        self.found: list[Scan] = []
        self.chosen: list[Scan] = []
        self._columns: list[ScanColumns] = []
        self.x, self.y, self.kind = INDEX, "", KINDS[0]
        self._lines: list[tuple[str, Floats, Floats]] = []
        self.controls = BrowserControls(self)
        super().__init__(f"scans of {self.store.url}", self._new_figure(), 1.0)
        self.search(text)

    # ------------------------------------------------------------------------------------ choosing

    def search(self, text: str = "") -> "ScanBrowser":
        """List scans: words that occur in what was said about them, and fields of their identity.

        ``"lead name=muon* number=3-9"`` has the word lead, a name that begins with muon, and one of these numbers.

        Raises
        ------
        LayoutError
            There is no such field; lists those that there are.
        """
        with self._lock:
            self.found = find_scans(self.store, text, self._most)
            self.text = text
            self.controls.list_scans([(label_of_scan(scan), scan.key) for scan in self.found])
            if not self.chosen:
                self.problem = "" if self.found else "no scan fits"
                self._say(self.problem or f"{len(self.found)} scans: choose one, or several to compare them")
        return self

    def choose(self, *which: int | str) -> "ScanBrowser":
        """Draw these scans, by their numbers or keys, among those that were found.

        Raises
        ------
        NotFoundError
            There is none with such a number or key.
        LayoutError
            Too many.
        """
        if len(which) > _MOST_DRAWN:
            raise LayoutError(f"{len(which)} scans: {_MOST_DRAWN} at most are drawn at once")
        with self._lock:
            self.chosen = [self._one(one) for one in which]
            self._columns = [ScanColumns(scan) for scan in self.chosen]
            there = self.columns
            if self.y not in there:
                self.y = there[0] if there else ""
            self.x = self.x if self.x in there else INDEX
            self._drawn_anew()
        return self

    def _one(self, which: int | str) -> Scan:
        for scan in self.found:
            if which in {scan.key, scan.identity["number"]}:
                return scan
        there = ", ".join(str(scan.identity["number"]) for scan in self.found[:20]) or "none"
        raise NotFoundError(f"there is no scan {which!r} among those that were found; their numbers are {there}")

    @property
    def columns(self) -> list[str]:
        """Columns of the scans that are drawn, each once."""
        return list(dict.fromkeys(name for one in self._columns for name in one.names))

    def plot(self, y: str, x: str | None = None, kind: str | None = None) -> None:
        """Draw a column of the chosen scans.

        Parameters
        ----------
        y, x
            Columns; without x, over the number of the point.
        kind
            ``"line"``, ``"points"`` or ``"histogram"`` (of y).

        Raises
        ------
        NotFoundError
            None of the scans has such a column; lists those that there are.
        LayoutError
            There is no such kind.
        """
        for name in filter(None, (y, x)):
            if name not in {*self.columns, INDEX}:
                there = ", ".join(self.columns) or "none: choose scans first"
                raise NotFoundError(f"there is no column {name!r}; there are {there}")
        if kind is not None and kind not in KINDS:
            raise LayoutError(f"kind={kind!r}: one of {', '.join(KINDS)}")
        with self._lock:
            self.y, self.x, self.kind = y, x or INDEX, kind or self.kind
            self._drawn_anew()

    def compare(self) -> dict[str, list[str]]:
        """What was said about the chosen scans and differs, in their order."""
        return differences(self.chosen)

    # ------------------------------------------------------------------------------------- drawing

    def _drawn_anew(self) -> None:
        """Other scans or columns: another figure."""
        self.controls.follow()
        self.figure = self.layout = self._new_figure()
        if "page" in self.__dict__:
            self.page.figure = self.layout
            self.page.show_again()
        self._see()

    def _new_figure(self) -> Any:
        models = needed("bokeh.models")
        figure = new_figure("", *self._labels(), height=340)
        nothing = np.zeros(0, np.float32)
        lines = []
        for n, one in enumerate(self._columns):
            source = models.ColumnDataSource(data={"x": nothing, "y": nothing}, name=f"scan {n}")
            if self.kind == "points":
                glyph = figure.scatter("x", "y", source=source, size=5, color=colour(n), alpha=0.6, line_color=None)
                glyph.glyph.line_color = colour(n)
            else:
                glyph = figure.line("x", "y", source=source, color=colour(n), line_width=1.5)
            lines.append((one.title, glyph))
        if lines:
            add_legend(figure, lines)
        else:
            figure.line([], [])
        return figure

    def _labels(self) -> tuple[str, str]:
        units = {name: next(filter(None, (one.unit(name) for one in self._columns)), "") for name in (self.x, self.y)}
        if self.kind == "histogram":
            return axis_label(self.y, units[self.y]), "points"
        return axis_label(self.x, units[self.x]), axis_label(self.y, units[self.y])

    def _see(self) -> None:
        if not self.chosen:
            return
        self._lines, told = [], []
        edges = None
        for one in self._columns:
            missing = [name for name in (self.x, self.y) if name not in {INDEX, *one.names}]
            if missing:
                self._lines.append((one.title, np.zeros(0), np.zeros(0)))
                told.append(f"{one.title} has no {' and no '.join(missing)}")
                continue
            y = one.read(self.y)
            x = np.arange(len(y), dtype=np.float64) if self.x == INDEX else one.read(self.x)
            length = min(len(x), len(y))
            told.append(f"{one.title}: {length} points")
            if self.kind == "histogram":
                edges = _edges(self._all_values()) if edges is None else edges
                self._lines.append((one.title, *_staircase(y, edges)))
            else:
                self._lines.append((one.title, *self._thinned(x[:length], y[:length])))
        self._show_lines("; ".join(told))

    def _all_values(self) -> Floats:
        return np.concatenate([one.read(self.y) for one in self._columns if self.y in one.names])

    def _thinned(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """No more than a screen can show, and no peak hidden where x is the number of the point."""
        if len(y) <= _POINTS:
            return x, y
        if self.x == INDEX:
            at = envelope_times(len(y), _POINTS).astype(np.float64)
            return at, envelope(y[np.newaxis], _POINTS)[0].astype(np.float64)
        step = -(-len(y) // _POINTS)
        return x[::step], y[::step]

    def _show_lines(self, told: str) -> None:
        sources = {f"scan {n}": {"x": x, "y": y} for n, (_, x, y) in enumerate(self._lines)}
        settings: dict[str, Any] = {"status": {"text": told}}
        for name, which in (("x_range", 1), ("y_range", 2)):
            values = np.concatenate([line[which] for line in self._lines]) if self._lines else np.zeros(0)
            values = values[np.isfinite(values)]
            if values.size:
                settings[name] = exactly(*room_around(values.min(), values.max()))
        self._show(sources, settings)

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        for n, (title, x, y) in enumerate(self._lines):
            axes.plot(x, y, "." if self.kind == "points" else "-", color=colour(n), lw=1.1, ms=4, label=title)
        if self._lines:
            axes.legend(fontsize=8, frameon=False)
        x_label, y_label = self._labels()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)

    def _controls(self) -> Sequence[Any]:
        return self.controls.widgets()

    def _release(self) -> None:
        if self._is_mine:
            self.store.close()

    def __enter__(self) -> "ScanBrowser":
        return self


def _edges(values: Floats) -> Floats:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _staircase(values: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """A histogram as a line."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges)
    heights = np.repeat(counts.astype(np.float64), 2)
    return np.repeat(edges, 2), np.concatenate([[0.0], heights, [0.0]])
